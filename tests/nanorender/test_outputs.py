import hashlib

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from nanorender.commands.rendering import app
from nanorender.errors import InputError
from nanorender.files.verify import verify
from nanorender.generation import generate
from nanorender.outputs import OUTPUTS, compute_outputs
from nanorender.recipe import Recipe, read_recipe
from nanorender.rendering import render


def outputs(sample, names):
    return compute_outputs(sample.scene, sample.particle, names)


@pytest.fixture(scope="module")
def sample():
    return render(read_recipe("ag").at_scale(8.0, 448), 0, 1)


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


def test_particles_of_an_agglomerate_have_its_number():
    grains = render(read_recipe("tio2").at_scale(8.0, 256), 0, 4)
    arrays = outputs(grains, ("visible", "agglomerates"))
    for label, agglomerate in zip(grains.truth["label"], grains.truth["agglomerate"], strict=True):
        seen = arrays["agglomerates"][arrays["visible"] == label]
        assert set(seen.tolist()) == {int(agglomerate) + 1}
    assert 1 < len(set(grains.truth["agglomerate"].tolist())) < len(grains.truth["label"])


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
    pages = tifffile.imread(tmp_path / "set" / "amodal" / "000000.tif")
    assert np.array_equal(pages, outputs(render(recipe, 0, 0), ("amodal",))["amodal"].squeeze())
    assert verify(tmp_path / "set").problems == ()


def test_damaged_output_is_detected(tmp_path):
    recipe = read_recipe("ag").at_scale(8.0, 64).model_copy(update={"outputs": ("parts",)})
    generate(recipe, 1, 0, tmp_path / "set", workers=1)
    (tmp_path / "set" / "parts" / "000000.tif").write_bytes(b"spoiled")
    (problem,) = verify(tmp_path / "set").problems
    assert "parts/000000.tif was changed" in problem


def test_checksums_outside_the_dataset_are_refused(tmp_path):
    generate(read_recipe("tio2").at_scale(8.0, 64), 1, 0, tmp_path / "set", workers=1)
    secret = tmp_path / "secret"
    secret.write_text("x")
    line = f"{hashlib.sha256(b'x').hexdigest()}  ../secret\n"
    sums = tmp_path / "set" / "sums" / "000000.sha256"
    sums.write_text(sums.read_text() + line)
    (problem,) = verify(tmp_path / "set").problems
    assert "outside" in problem


def test_visible_masks_are_disjoint_and_amodal_masks_contain_them(sample):
    arrays = outputs(sample, ("visible", "amodal"))
    truth, pixel_area = sample.truth, sample.pixel_size_nm**2
    # At this scale no border is taken off, so that the label map shows what is visible.
    assert np.array_equal(arrays["visible"], sample.labels)
    hidden = 0
    for row, number in enumerate(truth["label"]):
        visible = arrays["visible"] == number
        pages = np.flatnonzero((arrays["amodal"] == number).any((1, 2)))
        assert len(pages) == 1
        whole = arrays["amodal"][pages[0]] == number
        assert np.all(whole[visible])
        assert visible.sum() * pixel_area == pytest.approx(truth["visible_area_nm2"][row])
        if not (whole[0].any() or whole[-1].any() or whole[:, 0].any() or whole[:, -1].any()):
            assert whole.sum() * pixel_area == pytest.approx(truth["amodal_area_nm2"][row])
            hidden += whole.sum() > visible.sum()
    assert hidden > 0


def test_an_unknown_output_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="unknown output 'depth'; choose from visible"):
        read_recipe("ag").with_outputs("parts,depth")


def test_a_recipe_with_an_unknown_output_is_refused():
    text = read_recipe("ag").to_toml().replace('"parts"', '"depth"')
    with pytest.raises(InputError, match="unknown output 'depth'; choose from visible"):
        Recipe.from_toml(text, "a recipe")


def test_the_help_of_generate_lists_all_outputs():
    shown = CliRunner().invoke(app, ["generate", "--help"], env={"COLUMNS": "200"}).output
    assert ",".join(OUTPUTS) in shown
