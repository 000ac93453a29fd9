from pathlib import PureWindowsPath

import pytest
from pydantic import PositiveInt

from nanorender.errors import InputError
from nanorender.recipe import Recipe
from nanorender.recipes import preset_text
from nanorender.settings import Settings, StoredPath, read_text


class Grid(Settings):
    rows: PositiveInt
    name: str = "grid"
    edges_nm: tuple[float, float] = (0.0, 1.0)


class Mapped(Settings):
    file: StoredPath | None = None


def test_paths_are_written_with_forward_slashes_on_windows():
    mapped = Mapped.model_construct(file=PureWindowsPath("maps\\a.png"))
    assert mapped.to_toml() == 'file = "maps/a.png"\n'
    assert mapped.model_dump_json() == '{"file":"maps/a.png"}'
    assert Mapped().to_toml() == ""


def test_files_saved_by_windows_editors_are_read(tmp_path):
    (tmp_path / "grid.toml").write_bytes(b"\xef\xbb\xbfrows = 3\r\nname = 'a'\r\n")
    assert read_text(tmp_path / "grid.toml") == "rows = 3\nname = 'a'\n"
    assert Grid.read(tmp_path / "grid.toml") == Grid(rows=3, name="a")


def test_settings_survive_a_round_trip_through_toml():
    grid = Grid(rows=3, name="größer")
    assert Grid.from_toml(grid.to_toml(), "memory") == grid


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows = 3\ncolour = 1", "unknown key 'colour'"),
        ("name = 'a'", "'rows' is missing; add it"),
        ("row = 1", "unknown key 'row'; did you mean 'rows'? (and 1 more problem)"),
        ("color = 1", "(and 1 more problem)"),
        ("color = 1\ncolumns = 2", "(and 2 more problems)"),
        ("rows = -1", "'rows' (=-1)"),
        ("rows = ", "not valid TOML"),
        ("rows = nan", "'rows'"),
        ("rows = 1\nedges_nm = [1.0, 1e-300]", "'edges_nm' (=[1.0, 1e-300]): the magnitude"),
        ("rows = 1\nedges_nm = [1e300, 1.0]", "from 1e-60 to 1e+60"),
    ],
)
def test_a_bad_text_gives_one_line_that_names_the_key(text, said):
    with pytest.raises(InputError) as error:
        Grid.from_toml(text, "grid.toml")
    assert said in str(error.value)
    assert "grid.toml" in str(error.value)
    assert "\n" not in str(error.value).split(": ", 1)[0]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("field_nm", "field_mn", "unknown key 'field_mn'; did you mean 'field_nm'?"),
        ("[camera]", "[cammera]", "unknown key 'cammera'; did you mean 'camera'?"),
        ("compactness", "compactnes", "agglomerates.compactnes'; did you mean 'compactness'?"),
        ("templates", "template", "unknown key 'particles.0.template'; did you mean 'templates'?"),
        ("\nalbedo", "\nalbdo", "edge_effect.albdo'; did you mean 'albedo'?"),
        ("\nkind", "\nknd", "unknown key 'placement.knd'; did you mean 'kind'?"),
    ],
)
def test_the_most_similar_key_is_suggested_at_any_depth(right, wrong, said):
    text = preset_text("tio2").replace(right, wrong, 1)
    with pytest.raises(InputError) as error:
        Recipe.from_toml(text, "mine.toml")
    assert said in str(error.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        Grid.read(path)


def test_settings_are_immutable():
    with pytest.raises(ValueError, match="frozen"):
        Grid(rows=1).rows = 2
