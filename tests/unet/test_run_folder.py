import math

import pytest

from nanorender.errors import InputError
from unet.run_folder import LogEntry, append_log, read_log, truncate_log

ENTRY = LogEntry(epoch=1, step=2, seconds=0.5, loss={"foreground": 0.5})


@pytest.mark.parametrize(
    "line",
    [
        "5",
        "[]",
        "{}",
        '{"epoch": "x", "step": 1, "seconds": 1, "loss": {}}',
        '{"epoch": 1, "step": 1, "seconds": 1, "loss": {"foreground": "y"}}',
        '{"epoch": 1, "step": 1, "seconds": 1, "loss": {}, "pixel_f1": 5}',
        '{"epoch": 1, "step": 1, "seconds": 1, "loss": {}, "error": {"a": []}}',
    ],
)
def test_a_damaged_log_is_refused(tmp_path, line):
    append_log(tmp_path, ENTRY)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match="is damaged or from another version"):
        read_log(tmp_path)


def test_entries_are_read_as_they_were_written(tmp_path):
    entries = [
        ENTRY,
        ENTRY.model_copy(update={"epoch": 2, "pixel_f1": {"a": 0.1}, "error": {"a": 2.0}}),
    ]
    for entry in entries:
        append_log(tmp_path, entry)
    assert read_log(tmp_path) == entries
    truncate_log(tmp_path, 1)
    assert read_log(tmp_path) == entries[:1]


def test_the_log_of_a_diverged_training_is_read(tmp_path):
    append_log(tmp_path, ENTRY.model_copy(update={"loss": {"foreground": math.nan}}))
    assert math.isnan(read_log(tmp_path)[0].loss["foreground"])


def test_without_a_log_there_are_no_entries(tmp_path):
    assert read_log(tmp_path) == []
