import os

import pytest

from nanorender.errors import UnwritableError
from nanorender.files import atomic
from nanorender.files.atomic import atomic_folder, write_text


class Open:
    """`os.replace` of a system that renames no file for the first attempts, as Windows does."""

    def __init__(self, attempts, winerror):
        self.left, self.winerror, self.replace = attempts, winerror, os.replace

    def __call__(self, source, target):
        self.left -= 1
        if self.left >= 0:
            error = PermissionError(13, "Access is denied")
            error.winerror = self.winerror
            raise error
        self.replace(source, target)


@pytest.fixture
def renames(monkeypatch):
    def install(attempts, winerror):
        monkeypatch.setattr(atomic, "RENAME_WAITS_S", (0.0, 0.0, 0.0))
        monkeypatch.setattr(os, "replace", Open(attempts, winerror))

    return install


@pytest.mark.parametrize("winerror", [5, 32])
def test_a_file_that_another_program_has_open_for_a_moment_is_replaced(tmp_path, renames, winerror):
    (tmp_path / "a.csv").write_text("before")
    renames(3, winerror)
    write_text(tmp_path / "a.csv", "after")
    assert (tmp_path / "a.csv").read_text() == "after"


@pytest.mark.parametrize(("attempts", "winerror"), [(4, 32), (1, None), (1, 17)])
def test_a_file_that_cannot_be_renamed_is_refused_and_kept(tmp_path, renames, attempts, winerror):
    (tmp_path / "a.csv").write_text("before")
    renames(attempts, winerror)
    with pytest.raises(UnwritableError, match=r"a\.csv cannot be written: Access is denied"):
        write_text(tmp_path / "a.csv", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "before"


def fill(folder, text):
    with atomic_folder(folder) as part:
        (part / "a.csv").write_text(text)


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    fill(tmp_path / "report", "before")
    (tmp_path / "report" / "b.csv").touch()
    fill(tmp_path / "report", "after")
    assert [path.name for path in tmp_path.rglob("*")] == ["report", "a.csv"]
    assert (tmp_path / "report" / "a.csv").read_text() == "after"


@pytest.mark.parametrize("attempts", [1, 4])
def test_a_folder_with_an_open_file_is_refused_and_kept(tmp_path, renames, attempts):
    fill(tmp_path / "report", "before")
    renames(attempts, 32 if attempts > 1 else None)
    with pytest.raises(UnwritableError, match="report cannot be written: Access is denied"):
        fill(tmp_path / "report", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report" / "a.csv").read_text() == "before"


def test_a_folder_is_restored_if_the_new_one_cannot_take_its_name(tmp_path, monkeypatch):
    fill(tmp_path / "report", "before")
    replace = os.replace

    def second_fails(source, target):
        if (source.name, target.name) == (".part-report", "report"):
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(UnwritableError):
        fill(tmp_path / "report", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report" / "a.csv").read_text() == "before"
