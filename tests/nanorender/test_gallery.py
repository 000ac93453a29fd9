import numpy as np
import pytest
from PIL import Image

from nanorender.errors import InputError
from nanorender.gallery import CELL_PX, SHEET_COLUMNS, template_sheet, write_gallery
from nanorender.imaging.materials import MATERIALS
from nanorender.scenes.shapes import BUILT_IN


@pytest.mark.parametrize("kind", MATERIALS, ids=lambda kind: kind.__name__)
def test_every_template_stands_out_in_a_cell_of_its_own(kind):
    sheet = template_sheet(kind())
    ground = np.median(sheet)
    for number in range(len(BUILT_IN)):
        row, column = divmod(number, SHEET_COLUMNS)
        cell = sheet[row * CELL_PX :, column * CELL_PX :][:CELL_PX, :CELL_PX]
        middle = cell[CELL_PX // 2 - 3 : CELL_PX // 2 + 4, CELL_PX // 2 - 3 : CELL_PX // 2 + 4]
        assert middle.mean() > ground + 15
        assert np.median(np.concatenate([cell[0], cell[-1], cell[:, 0], cell[:, -1]])) < ground + 8


def test_the_gallery_shows_templates_presets_and_randomized_recipes(tmp_path):
    paths = write_gallery(tmp_path / "new" / "pictures")
    assert [path.name for path in paths] == ["templates.png", "recipes.png", "any.png"]
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 1000


def test_a_gallery_over_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_gallery(tmp_path / "file")
