import hashlib

import numpy as np
import pytest
import tifffile

from nanorender.generate import generate
from nanorender.outputs import OUTPUTS, outputs
from nanorender.recipe import read_recipe
from nanorender.render import render
from nanorender.verify import verify


@pytest.fixture(scope="module")
def sample():
    return render(read_recipe("ag").at_scale(8.0, 256), 0, 1)


def test_outputs_are_of_the_size_of_the_image(sample):
    arrays = outputs(sample, tuple(OUTPUTS))
    assert arrays["parts"].shape == arrays["height"].shape == sample.image.shape
    assert arrays["normals"].shape == (3, *sample.image.shape)


def test_every_particle_has_parts_and_the_substrate_none(sample):
    parts = outputs(sample, ("parts",))["parts"]
    assert np.all(parts[sample.labels > 0] >= 1)
    # Slivers too small for a label are seen all the same.
    assert (parts[sample.labels == 0] > 0).mean() < 0.001


def test_a_rod_has_a_shaft_and_tips(sample):
    parts = outputs(sample, ("parts",))["parts"]
    assert {1, 2, 3} <= set(np.unique(parts).tolist())


def test_normals_are_unit_vectors_and_the_substrate_faces_the_detector(sample):
    arrays = outputs(sample, ("normals", "height"))
    assert np.linalg.norm(arrays["normals"], axis=0) == pytest.approx(1, abs=1e-4)
    flat = arrays["height"] == 0
    assert arrays["normals"][2][flat] == pytest.approx(1)


def test_a_dataset_holds_the_outputs_of_its_recipe(tmp_path):
    recipe = read_recipe("ag").at_scale(8.0, 64).model_copy(update={"outputs": tuple(OUTPUTS)})
    generate(recipe, 1, 0, tmp_path / "set", workers=1)
    assert tifffile.imread(tmp_path / "set" / "parts" / "000000.tif").shape == (64, 64)
    assert tifffile.imread(tmp_path / "set" / "normals" / "000000.tif").shape == (3, 64, 64)
    assert verify(tmp_path / "set").problems == ()


def test_a_spoiled_output_is_noticed(tmp_path):
    recipe = read_recipe("ag").at_scale(8.0, 64).model_copy(update={"outputs": ("parts",)})
    generate(recipe, 1, 0, tmp_path / "set", workers=1)
    (tmp_path / "set" / "parts" / "000000.tif").write_bytes(b"spoiled")
    (problem,) = verify(tmp_path / "set").problems
    assert "parts/000000.tif was changed" in problem


def test_checksums_may_not_lead_out_of_the_dataset(tmp_path):
    generate(read_recipe("tio2").at_scale(8.0, 64), 1, 0, tmp_path / "set", workers=1)
    secret = tmp_path / "secret"
    secret.write_text("x")
    line = f"{hashlib.sha256(b'x').hexdigest()}  ../secret\n"
    sums = tmp_path / "set" / "sums" / "000000.sha256"
    sums.write_text(sums.read_text() + line)
    (problem,) = verify(tmp_path / "set").problems
    assert "outside" in problem
