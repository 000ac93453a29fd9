import shutil

import numpy as np
import pytest
import tifffile

from nanorender.errors import InputError
from nanorender.separation.separate import Separation
from unet.checkpoint import read_model, write_model
from unet.data import load_dataset
from unet.model import initial_weights
from unet.run_folder import MODEL_NAME, epoch_path, prediction_path
from unet.select import epoch_agreement, rank_by_truth, rank_without_truth, select_epoch
from unet.targets import close_gaps
from unet.train import train
from unet.validation import ValidationImage


@pytest.fixture
def annotated(discs):
    """An annotated validation image."""
    image, labels = discs(9)
    return ValidationImage("real", image, 6.0, labels)


@pytest.fixture
def run(tmp_path, card, rng, annotated):
    """A run of three epochs: nothing found, all found, the foreground in one piece."""
    foreground = annotated.truth > 0
    interior = eroded(annotated.truth)
    kept = {
        1: (0 * foreground, 0 * foreground),
        2: (foreground, interior),
        3: (foreground, foreground),
    }
    for epoch, (found, inside) in kept.items():
        path = epoch_path(tmp_path, epoch)
        path.parent.mkdir(exist_ok=True)
        weights = initial_weights(card.training.architecture, rng)
        write_model(path, card.model_copy(update={"epoch": epoch}), weights)
        pages = np.stack([found, inside, 0 * found, inside]).astype(np.uint8) * 255
        prediction = prediction_path(tmp_path, epoch, "real")
        prediction.parent.mkdir(parents=True)
        tifffile.imwrite(prediction, pages, photometric="minisblack")
    return tmp_path


def eroded(labels):
    """Pixels whose eight neighbors all have their label."""
    padded = np.pad(labels, 1)
    height, width = labels.shape
    shifts = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return (labels > 0) & np.all([shifted == labels for shifted in shifts], axis=0)


def test_ranking_by_truth_prefers_the_epoch_that_separates_particles(run, annotated):
    ranked = rank_by_truth(run, [annotated], "object_f1", Separation(area_opening_px=1))
    assert [item.epoch for item in ranked] == [2, 3, 1]
    assert ranked[0].parts["object_f1"] > ranked[1].parts["object_f1"]
    assert ranked[2].score == 0


def test_ranking_without_truth_puts_empty_predictions_last(run, annotated):
    unknown = ValidationImage("real", annotated.image, 6.0)
    ranked = rank_without_truth(run, [unknown])
    assert ranked[-1].epoch == 1
    assert ranked[-1].score == 0
    assert {"stability", "agreement", "sharpness"} == ranked[0].parts.keys()
    assert all(0 <= part <= 1 for item in ranked for part in item.parts.values())


def test_the_chosen_epoch_becomes_the_model(run):
    path = select_epoch(run, 2)
    assert path == run / MODEL_NAME
    assert read_model(run)[0].epoch == 2


def test_an_epoch_that_was_not_kept_is_refused(run):
    with pytest.raises(InputError, match=r"epoch 7 were not kept .* kept: 1, 2, 3"):
        select_epoch(run, 7)


def test_ranking_by_truth_needs_a_truth(run, annotated):
    with pytest.raises(InputError, match="no validation image is annotated"):
        rank_by_truth(run, [ValidationImage("real", annotated.image, 6.0)])


def test_an_image_that_was_not_predicted_is_refused(run, annotated):
    with pytest.raises(InputError, match="has no epoch with predictions of these images"):
        rank_without_truth(run, [ValidationImage("other", annotated.image, 6.0)])


def test_epochs_without_predictions_are_left_out(run, annotated):
    shutil.rmtree(run / "validation" / "0002")
    assert {item.epoch for item in rank_without_truth(run, [annotated])} == {1, 3}


def test_a_run_just_trained_can_be_ranked(dataset, small, tmp_path, annotated):
    run = tmp_path / "run"
    train(load_dataset(dataset, small), small, run, [annotated])
    ranked = rank_by_truth(run, [annotated], "pixel_f1")
    assert sorted(item.epoch for item in ranked) == [1, 2, 3]


def test_by_error_the_epoch_closest_to_its_targets_is_first(run, annotated):
    ranked = rank_by_truth(run, [annotated], "error")
    assert ranked[-1].epoch == 1
    assert [item.score for item in ranked] == [np.exp(-item.parts["error"]) for item in ranked]
    # All but certain where particles are missed: each such pixel costs the logarithm of 2 x 255.
    missed = np.mean(close_gaps(annotated.truth) > 0) * np.log(510)
    assert ranked[-1].parts["error"] == pytest.approx(missed, rel=0.02)


def test_a_prediction_of_another_image_is_refused(run, annotated):
    smaller = ValidationImage("real", annotated.image[:40], 6.0, annotated.truth[:40])
    for rank in (rank_by_truth, rank_without_truth):
        with pytest.raises(InputError, match=r"has 64 x 64 pixels, but 'real' has 40 x 64"):
            rank(run, [smaller])


@pytest.mark.parametrize("name", ["best", "-001", "1e3", "9" * 40, "\u0663\u0663\u0663\u0663"])
def test_files_other_than_epochs_are_ignored(run, annotated, name):
    shutil.copy(epoch_path(run, 2), run / "epochs" / f"{name}.safetensors")
    assert sorted(item.epoch for item in rank_by_truth(run, [annotated])) == [1, 2, 3]


def test_epochs_agree_as_far_as_they_find_the_same_particles(run, annotated):
    assert epoch_agreement(run, [annotated], 1) == 0
    assert 0 < epoch_agreement(run, [annotated], 3) < 1
    maps = prediction_path(run, 2, "real").read_bytes()
    for epoch in (1, 3):
        prediction_path(run, epoch, "real").write_bytes(maps)
    assert epoch_agreement(run, [annotated], 2) == 1


def test_a_training_of_one_epoch_agrees_with_none(run, annotated):
    for epoch in (1, 2):
        epoch_path(run, epoch).unlink()
    assert epoch_agreement(run, [annotated], 3) is None


def test_the_agreement_is_kept_in_the_model(run):
    select_epoch(run, 2, 0.75)
    assert read_model(run)[0].epoch_agreement == 0.75


def test_an_epoch_without_predictions_has_no_agreement(run, annotated):
    prediction_path(run, 2, "real").unlink()
    assert epoch_agreement(run, [annotated], 2) is None
    assert epoch_agreement(run, [], 1) is None
