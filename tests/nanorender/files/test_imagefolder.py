import numpy as np
import pytest
import tifffile
from micrographs import GENUINE, discs, needs_genuine_files, noise
from PIL import Image

from nanorender.errors import InputError
from nanorender.files.imagefolder import find_micrographs
from nanorender.files.micrograph import read_micrograph


@pytest.mark.parametrize(
    ("folder", "shape"),
    [
        ("tio2_sem", (712, 1024)),
        ("nanowires_sem", (890, 1280)),
        ("sio2_spheres_sem", (484, 712)),
        ("powder_spheres_sem", (1024, 1536)),
    ],
)
@needs_genuine_files
def test_genuine_bars_are_cut_and_genuine_annotations_left_out(folder, shape):
    found = find_micrographs(GENUINE / folder)
    assert {read_micrograph(path).image.shape for path in found.images} == {shape}
    assert len(found.left_out) == (
        len(found.images) if folder in ("tio2_sem", "powder_spheres_sem") else 0
    )
    assert all(path.stem.endswith(("_m", "_labels")) for path in found.left_out)


def test_micrographs_are_found_in_natural_order_without_their_annotations(tmp_path):
    for number in (10, 2, 1):
        tifffile.imwrite(tmp_path / f"img{number}.tif", noise())
        tifffile.imwrite(tmp_path / f"img{number}_mask.tif", (discs() > 0).astype(np.uint8) * 255)
        Image.fromarray(discs()).save(tmp_path / f"img{number}_labels.png")
    (tmp_path / "notes.txt").write_text("hello")
    tifffile.imwrite(tmp_path / "._img1.tif", noise())
    found = find_micrographs(tmp_path)
    assert [path.name for path in found.images] == ["img1.tif", "img2.tif", "img10.tif"]
    assert len(found.left_out) == 6


def test_annotations_named_by_an_option_are_excluded_for_any_content(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise())
    tifffile.imwrite(tmp_path / "a_truth.tif", noise())
    assert len(find_micrographs(tmp_path).images) == 2
    found = find_micrographs(tmp_path, truth_suffix="_truth.tif")
    assert [path.name for path in found.images] == ["a.tif"]


def test_a_missing_and_an_empty_folder_and_twins_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_micrographs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="contains no image files"):
        find_micrographs(tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", noise())
    Image.fromarray(noise()).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="share a name apart from case and extension"):
        find_micrographs(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / "A.png")
    with pytest.raises(InputError, match="share a name apart from case and extension"):
        find_micrographs(tmp_path)
    assert find_micrographs(tmp_path / "a.tif").images == (tmp_path / "a.tif",)
