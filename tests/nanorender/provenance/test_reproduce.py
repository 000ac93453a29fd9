import json
from pathlib import Path

import pytest

from nanorender.errors import InputError
from nanorender.provenance.record import read_command_record, recorded
from nanorender.provenance.reproduce import differences, reproduce


@recorded("out")
def shout(words: Path, out: Path, times: int = 2, ending: str | None = None) -> None:
    """A command that writes words of a file in capitals."""
    out.mkdir(exist_ok=True)
    (out / "said.txt").write_text(words.read_text().upper() * times + str(ending))


@recorded("folder")
def add(folder: Path, line: str) -> None:
    """A command that adds to what another wrote."""
    with (folder / "said.txt").open("a") as file:
        file.write(line)


@recorded("out")
def leaflet(words: Path, out: Path, page: Path | None = None) -> None:
    """A command that can write a page elsewhere."""
    out.mkdir(exist_ok=True)
    if page is not None:
        page.write_text(words.read_text())


COMMANDS = {"shout": shout, "add": add}


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A file of words in the current directory."""
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("hello ")
    return Path("words.txt")


def test_folder_records_its_commands(words, tmp_path):
    shout(words, Path("out"))
    (step,) = read_command_record(Path("out")).steps
    assert (step.command, step.target, step.directory) == ("shout", "out", str(tmp_path))
    assert step.settings == {"words": "words.txt", "out": "out", "times": 2}
    assert list(step.inputs) == ["words"]
    assert {"python", "numpy", "nanorender"} <= set(step.versions)


def test_several_commands_are_reproduced_in_order(words, tmp_path):
    shout(words, Path("out"), ending="!")
    add(Path("out"), "more")
    assert reproduce(Path("out"), tmp_path / "again", COMMANDS) == ()
    assert (tmp_path / "again" / "said.txt").read_text() == "HELLO HELLO !more"


def test_repeated_command_removes_later_steps(words):
    shout(words, Path("out"))
    add(Path("out"), "more")
    shout(words, Path("out"), times=3)
    (step,) = read_command_record(Path("out")).steps
    assert step.settings["times"] == 3


def test_a_changed_missing_and_added_file_are_named(words, tmp_path):
    shout(words, Path("out"))
    (tmp_path / "out" / "said.txt").write_text("mumbled")
    (tmp_path / "out" / "notes.txt").touch()
    found = reproduce(Path("out"), tmp_path / "again", COMMANDS)
    assert found == ("notes.txt is missing", "said.txt differs")


def test_changed_and_missing_inputs_are_refused_before_anything_runs(words, tmp_path):
    shout(words, Path("out"))
    words.write_text("goodbye ")
    with pytest.raises(InputError, match=r"words\.txt has changed since out was made"):
        reproduce(Path("out"), tmp_path / "again", COMMANDS)
    words.unlink()
    with pytest.raises(InputError, match="where relative paths start"):
        reproduce(Path("out"), tmp_path / "again", COMMANDS)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('command = "shout"', 'command = "rm"', "unknown command 'rm'; only shout, add can"),
        ("times = 2", 'times = "many"', "does not fit this version: times"),
        ("times = 2", "times = 2\nforce = true", "does not fit this version: force"),
        ('target = "out"', 'target = "words"', "target 'words' for shout, must be 'out'"),
        ('target = "out"', 'target = "scheduler"', "target 'scheduler' for shout, must be 'out'"),
        ('line = "', "line = \"nanorender ' ", "invalid command line"),
        ("format = 1", "format = 2", "'format'"),
        ("format = 1", "format = ", "not valid TOML"),
    ],
)
def test_a_forged_record_runs_nothing(words, tmp_path, old, new, problem):
    shout(words, Path("out"))
    record = tmp_path / "out" / "command.toml"
    assert old in record.read_text()
    record.write_text(record.read_text().replace(old, new))
    with pytest.raises(InputError, match=problem):
        reproduce(Path("out"), tmp_path / "again", COMMANDS)
    assert not (tmp_path / "again").exists()


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no command\.toml"):
        reproduce(tmp_path, tmp_path / "again", COMMANDS)


def test_durations_in_logs_are_not_compared(tmp_path):
    for name, seconds, loss in (("a", 1.0, 0.5), ("b", 2.0, 0.5), ("c", 1.0, 0.25)):
        (tmp_path / name).mkdir()
        line = json.dumps({"epoch": 1, "seconds": seconds, "loss": loss}) + "\n"
        (tmp_path / name / "log.jsonl").write_text(line)
    assert differences(tmp_path / "a", tmp_path / "b") == []
    assert differences(tmp_path / "a", tmp_path / "c") == ["log.jsonl differs"]


def test_nothing_is_written_outside_of_the_new_folder(words, tmp_path):
    leaflet(words, Path("out"), Path("page.html"))
    Path("page.html").unlink()
    assert reproduce(Path("out"), tmp_path / "again", {"leaflet": leaflet}) == ()
    assert not Path("page.html").exists()


def test_endless_input_is_refused(words, tmp_path):
    shout(words, Path("out"))
    record = tmp_path / "out" / "command.toml"
    record.write_text(record.read_text().replace('words = "words.txt"', 'words = "/dev/zero"'))
    with pytest.raises(InputError, match="/dev/zero, an input of out, does not exist"):
        reproduce(Path("out"), tmp_path / "again", COMMANDS)
