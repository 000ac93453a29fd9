from dataclasses import replace
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.measure import label

from nanorender.calibration.bases import FittedBase
from nanorender.correction.record import read_twins, read_twins_record, write_record
from nanorender.correction.study import correct_study
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.measuring.measure import measure
from nanorender.recipe import read_recipe
from nanorender.rendering import render
from nanorender.twins import twins
from nanorender.twins.look import fit_look
from nanorender.twins.study import Study
from nanorender.twins.twins import (
    TwinSettings,
    choose_base,
    make_twins,
    render_further_twins,
    written_twins,
)

SETTINGS = TwinSettings(count=8, rounds=1, corrections=1, checked_views=2)


class Threshold:
    """Segments bright regions, and counts how often it is called."""

    def __init__(self):
        self.calls = 0

    def __call__(self, image):
        self.calls += 1
        return label(image > 90).astype(np.int32)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    recipe = read_recipe("facets").at_scale(3.0, 256)
    images = [render(recipe, 0, index).image for index in range(2)]
    whole = (0, 256, 0, 256)
    path = tmp_path_factory.mktemp("micrographs") / "a.tif"
    return Study(
        ("a", "b"),
        tuple(Micrograph(one, 3.0, "known", whole, (256, 256), path) for one in images),
        tuple(measure(Threshold()(one), None) for one in images),
        ("1", "2"),
        SimpleNamespace(model_sha256="m", separation={"watershed": True}, min_confidence=0.7),
    )


@pytest.fixture(scope="module")
def made(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "twins"
    find = Threshold()
    record = make_twins(study, "facets", SETTINGS, find, folder)
    return folder, record, find.calls


def test_notes_on_the_fit_are_kept(study, made, tmp_path, monkeypatch):
    assert made[1].notes == ()

    def fit_with_a_note(*arguments):
        calibration, recipes = fit_look(*arguments)
        return replace(calibration, notes=("the small ones are left out",)), recipes

    monkeypatch.setattr(twins, "fit_look", fit_with_a_note)
    few = SETTINGS.model_copy(update={"count": 1, "rounds": 1})
    make_twins(study, "facets", few, Threshold(), tmp_path / "twins")
    assert read_twins_record(tmp_path / "twins").notes == ("the small ones are left out",)


def test_twins_are_written_with_truth_and_particles(made):
    folder, record, _ = made
    assert [record.twin_name(index) for index in range(3)] == ["a_1", "b_1", "a_2"]
    for part in ("images", "truth", "labels"):
        assert sorted(path.name for path in (folder / part).iterdir()) == sorted(
            f"{name}_{number}.tif" for name in "ab" for number in range(1, 5)
        )
    twins = read_twins(folder, record)
    assert len(twins) == 8
    assert sum(len(twin.true) for twin in twins) > 50
    assert read_twins_record(folder) == record


def test_written_twins_are_read_with_their_truth(made):
    folder, record, _ = made
    twins = list(written_twins(folder))
    assert [twin.path.stem for twin in twins] == [record.twin_name(index) for index in range(8)]
    for twin in twins:
        assert twin.image.shape == twin.labels.shape == (256, 256)
        assert twin.pixel_size_nm == 3.0
        assert twin.image[twin.labels > 0].mean() > twin.image[twin.labels == 0].mean()


def test_further_twins_are_none_of_the_written_ones(made):
    folder, _, _ = made
    further = list(render_further_twins(folder, 3))
    written = {twin.image.tobytes() for twin in written_twins(folder)}
    assert len({twin.image.tobytes() for twin in further} - written) == 3
    again = list(render_further_twins(folder, 3))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(further, again, strict=True))


def test_the_study_is_corrected(study, made):
    found = correct_study(made[0], study.labels_sha256, study.tables, "equivalent_diameter")
    assert found.unit == "nm"
    if found.refusal is None:
        median = found.corrections["d50"]
        assert median.corrected.low < median.corrected.value < median.corrected.high
        assert 30 < median.corrected.value < 120
    assert 0 <= found.merged_share <= 1
    assert sum(one.particles for one in found.detection) > 50


def test_finished_twins_are_kept_and_missing_ones_made_again(study, made):
    folder, record, _ = made
    find = Threshold()
    image = (folder / "images" / "b_2.tif").read_bytes()
    (folder / "particles" / "b_2_true.csv").unlink()
    assert make_twins(study, "facets", SETTINGS, find, folder) == record
    assert find.calls == 1
    assert (folder / "images" / "b_2.tif").read_bytes() == image


def test_changed_label_maps_have_new_twins(study, made):
    folder, _, calls = made
    find = Threshold()
    make_twins(study._replace(labels_sha256=("1", "3")), "facets", SETTINGS, find, folder)
    assert find.calls == calls
    with pytest.raises(InputError, match="other label maps"):
        correct_study(folder, study.labels_sha256, study.tables, "equivalent_diameter")


@pytest.mark.parametrize("name", ["notes.txt", "labels/a.tif", "images/a.tif", "recipes/mine.toml"])
def test_other_files_are_not_lost(study, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(InputError, match="which is not part of twins"):
        make_twins(study, "facets", SETTINGS, Threshold(), tmp_path)
    assert path.read_text() == "mine"


def test_other_settings_of_the_segmentation_have_new_twins(study, made, tmp_path):
    folder = tmp_path / "twins"
    copytree(made[0], folder)
    changed = SimpleNamespace(**{**vars(study.record), "min_confidence": 0.9})
    find = Threshold()
    record = make_twins(study._replace(record=changed), "facets", SETTINGS, find, folder)
    assert record.min_confidence == 0.9
    assert find.calls > 8


def test_images_without_particles_do_not_disturb(study, tmp_path):
    found_in = iter(range(1000))

    def find(image):
        """Find nothing in the twins of the first round."""
        return Threshold()(image) if next(found_in) >= 8 else np.zeros(image.shape, np.int32)

    record = make_twins(study, "facets", SETTINGS, find, tmp_path / "twins")
    assert len(read_twins(tmp_path / "twins", record)) == 8


def test_twins_in_which_too_little_is_found_correct_nothing(study, tmp_path):
    def find(image):
        return np.zeros(image.shape, np.int32)

    make_twins(study, "facets", SETTINGS, find, tmp_path / "twins")
    found = correct_study(
        tmp_path / "twins", study.labels_sha256, study.tables, "equivalent_diameter"
    )
    assert found.corrections == {}
    assert found.refusal is not None
    assert "only 0 particles of at least 8 px" in found.refusal


def test_few_particles_are_refused(study, tmp_path):
    few = study._replace(tables=tuple(table.head(5) for table in study.tables))
    with pytest.raises(InputError, match=r"at least 20 particles .* and 10 were found"):
        make_twins(few, "facets", SETTINGS, Threshold(), tmp_path / "twins")


def test_damaged_tables_are_named(made):
    folder, record, _ = made
    path = folder / "particles" / "a_1_true.csv"
    before = path.read_text()
    path.write_text("nothing")
    try:
        with pytest.raises(InputError, match="missing or damaged; run 'nanorender twins' again"):
            read_twins(folder, record)
    finally:
        path.write_text(before)


def test_folders_without_record_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no twins\.json"):
        read_twins_record(tmp_path)
    (tmp_path / "twins.json").write_text("{}")
    with pytest.raises(InputError, match="not a valid record of twins"):
        read_twins_record(tmp_path)


def test_the_recipe_of_twins_is_that_which_fits_best_unless_there_are_twins(
    made, study, tmp_path, monkeypatch
):
    ranked = [FittedBase("layers", 0.1), FittedBase("facets", 0.2)]
    monkeypatch.setattr(twins, "rank_bases", lambda *_, **__: ranked)
    assert choose_base(study, SETTINGS, tmp_path) == "layers"
    write_record(tmp_path, made[1])
    assert choose_base(study, SETTINGS, tmp_path) == "layers"  # "facets" was named, not chosen
    write_record(tmp_path, made[1].model_copy(update={"base_chosen": True}))
    assert choose_base(study, SETTINGS, tmp_path) == "facets"
    for other in ({"seed": 3}, {"rounds": 2}):
        assert choose_base(study, SETTINGS.model_copy(update=other), tmp_path) == "layers"
    rescaled = tuple(replace(one, pixel_size_nm=3.1) for one in study.micrographs)
    assert choose_base(study._replace(micrographs=rescaled), SETTINGS, tmp_path) == "layers"


def test_no_recipe_is_chosen_for_a_few_particles(study, tmp_path):
    few = study._replace(tables=tuple(table.head(3) for table in study.tables))
    with pytest.raises(InputError, match="at least 20 particles"):
        choose_base(few, SETTINGS, tmp_path)
