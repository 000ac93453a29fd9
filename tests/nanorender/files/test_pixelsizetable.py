import numpy as np
import pytest

from nanorender.commands.options import parse_reading
from nanorender.errors import InputError
from nanorender.files.collection import find_collection, read_collection
from nanorender.files.tiff import write_image


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name, size_nm in (("a", None), ("b", 2.0), ("c", None)):
        write_image(tmp_path / "images" / f"{name}.tif", np.eye(40, dtype=np.uint8), size_nm)
    return tmp_path / "images"


def table(folder, text):
    path = folder.parent / "sizes.csv"
    path.write_text(text)
    return parse_reading(str(path))


def test_a_table_gives_the_pixel_size_of_each_image(folder):
    reading = table(folder, "image,pixel_size_nm\na.tif,3\nc.tif,0.5\n")
    assert read_collection(folder, reading).pixel_sizes_nm == (3.0, 2.0, 0.5)


def test_images_without_row_and_rows_without_image_are_refused(folder):
    with pytest.raises(InputError, match=r"c\.tif has no pixel size and no row in .*sizes\.csv"):
        read_collection(folder, table(folder, "image,pixel_size_nm\na.tif,3\n"))
    with pytest.raises(InputError, match=r"names d\.tif, e\.tif, not among"):
        find_collection(folder, table(folder, "image,pixel_size_nm\nd.tif,3\ne.tif,3\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,size\na.tif,3\n", "needs the columns image and pixel_size_nm"),
        ("image,pixel_size_nm\na.tif,3\na.tif,4\n", "names a.tif twice"),
        ("image,pixel_size_nm\na.tif,big\n", "a.tif must be from 0.001 to 100000, got 'big'"),
        ("image,pixel_size_nm\na.tif\n", "a.tif must be from 0.001"),
    ],
)
def test_invalid_tables_are_refused(folder, text, message):
    with pytest.raises(InputError, match=message):
        table(folder, text)


def test_neither_number_nor_file_is_refused():
    assert parse_reading("3.5").pixel_size_nm == 3.5
    with pytest.raises(InputError, match="must be a number, or a CSV file"):
        parse_reading("3,5")
