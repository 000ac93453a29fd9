import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.models import general_model
from unet.checkpoint import read_arrays, read_model
from unet.data import equalize, load_dataset
from unet.devices import training_mesh
from unet.predict import load_model, predict
from unet.run_folder import LAST_NAME, MODEL_NAME, RUN_NAME, read_log
from unet.step import initial_state, make_schedule, make_step
from unet.targets import targets
from unet.train import train
from unet.validation import ValidationImage, read_prediction


class KilledError(Exception):
    """Stands for a process that is killed."""


def losses(run):
    return [line.loss for line in read_log(run)]


@pytest.fixture
def uninterrupted(dataset, small, tmp_path):
    """Return the run folder of a training that nothing disturbed."""
    run = tmp_path / "uninterrupted"
    train(load_dataset(dataset, small), small, run)
    return run


def test_small_network_memorizes_one_image(small, discs):
    settings = small.model_copy(
        update={
            "channels": (8, 16),
            "targets": ("foreground", "interior"),
            "steps_per_epoch": 60,
            "epochs": 1,
            "learning_rate": 3e-2,
            "augmentation": small.augmentation.model_copy(update={"noise": 0.0, "blur": 0.0}),
        }
    )
    image, labels = discs(0)
    pixels = jnp.dstack([equalize(image), targets(labels, settings)])[None]
    step, state = make_step(settings, training_mesh(settings.batch), 0), initial_state(settings)
    history = []
    for _ in range(settings.steps):
        before = np.asarray(state.losses)
        state = step(state, pixels, jnp.array([image.shape]))
        history.append(float((np.asarray(state.losses) - before).mean()))
    assert np.mean(history[-5:]) < 0.25 * np.mean(history[:5])


def test_run_folder_contents(dataset, small, tmp_path, discs):
    image, labels = discs(9)
    run = tmp_path / "run"
    seen = []
    train(
        load_dataset(dataset, small),
        small,
        run,
        [ValidationImage("real", image, 6.0, labels)],
        seen.append,
    )
    assert [progress.step for progress in seen] == list(range(1, 7))
    assert [line.epoch for line in read_log(run)] == [1, 2, 3]
    assert all(0 <= line.pixel_f1["real"] <= 1 for line in read_log(run))
    provenance = json.loads((run / RUN_NAME).read_text())
    assert provenance["training"]["channels"] == [3, 4]
    assert len(list((run / "epochs").iterdir())) == 3
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert str(seen[0]).startswith("epoch 1 of 3, loss 0.")
    assert str(seen[0]).endswith(" s a step")
    card, weights = read_model(run)
    assert card.epoch == 3
    assert card.pixel_sizes.median_nm == 6
    last = read_model(run / "epochs" / "0003.safetensors")[1]
    assert all(np.array_equal(weights[name], last[name]) for name in weights)
    kept = read_prediction(run, 3, ValidationImage("real", image, 6.0), small.targets)
    for name, probability in predict(load_model(run), image, 6.0).items():
        np.testing.assert_allclose(kept[name], probability, atol=0.5 / 255 + 1e-6)


def test_the_weights_do_not_depend_on_where_epochs_end(dataset, small, tmp_path):
    learnt = []
    for steps, epochs in ((2, 3), (3, 2)):
        settings = small.model_copy(update={"steps_per_epoch": steps, "epochs": epochs})
        train(load_dataset(dataset, settings), settings, tmp_path / f"{epochs}")
        learnt.append(read_model(tmp_path / f"{epochs}")[1])
    for name, weights in learnt[0].items():
        np.testing.assert_array_equal(learnt[1][name], weights)


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_killed_training_resumes_to_the_same_losses(
    dataset, small, tmp_path, uninterrupted, killed_at
):
    run = tmp_path / "run"

    def kill(progress):
        if progress.step == killed_at:
            raise KilledError

    with pytest.raises(KilledError):
        train(load_dataset(dataset, small), small, run, on_progress=kill)
    train(load_dataset(dataset, small), small, run)
    assert losses(run) == losses(uninterrupted)
    assert (run / MODEL_NAME).read_bytes() == (uninterrupted / MODEL_NAME).read_bytes()


def test_interrupted_training_leaves_a_model_and_resumes_to_the_same_losses(
    dataset, small, tmp_path, uninterrupted
):
    run = tmp_path / "run"

    def interrupt(progress):
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(load_dataset(dataset, small), small, run, on_progress=interrupt)
    assert read_model(run)[0].epoch == 1
    assert int(read_arrays(run / LAST_NAME)[1][".step"]) == 3
    train(load_dataset(dataset, small), small, run)
    assert losses(run) == losses(uninterrupted)
    assert (run / MODEL_NAME).read_bytes() == (uninterrupted / MODEL_NAME).read_bytes()


def test_training_resumes_from_the_previous_checkpoint_if_the_last_is_truncated(
    dataset, small, uninterrupted
):
    expected, model = losses(uninterrupted), (uninterrupted / MODEL_NAME).read_bytes()
    last = uninterrupted / LAST_NAME
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="is damaged"):
        train(load_dataset(dataset, small), small, uninterrupted)
    assert losses(uninterrupted) == expected
    assert (uninterrupted / MODEL_NAME).read_bytes() == model


def test_a_finished_training_is_not_repeated(dataset, small, uninterrupted):
    seen = []
    train(load_dataset(dataset, small), small, uninterrupted, on_progress=seen.append)
    assert seen == []
    assert len(losses(uninterrupted)) == 3


def test_a_run_folder_of_other_settings_is_refused(dataset, small, uninterrupted):
    with pytest.raises(InputError, match="other settings or another dataset"):
        train(load_dataset(dataset, small), small.model_copy(update={"seed": 1}), uninterrupted)


def test_a_training_starts_from_the_weights_of_a_model(dataset, small, tmp_path, uninterrupted):
    settings = small.model_copy(update={"learning_rate": 1e-9})
    samples = load_dataset(dataset, settings)
    train(samples, settings, tmp_path / "run", initial=uninterrupted)
    card, weights = read_model(tmp_path / "run")
    start, expected = read_model(uninterrupted)
    assert card.initial_sha256 == start.weights_sha256 != ""
    for name, array in expected.items():
        if not name.endswith(("mean", "var")):  # the statistics follow the new images
            np.testing.assert_allclose(weights[name], array, atol=1e-6)
    with pytest.raises(InputError, match="other settings or another dataset"):
        train(samples, settings, tmp_path / "run")


def test_bfloat16_activations_give_nearly_the_same_losses_and_float32_weights(dataset, small):
    samples, losses = load_dataset(dataset, small), []
    for precision in ("float32", "bfloat16"):
        settings = small.model_copy(update={"precision": precision})
        state = initial_state(settings)
        step = make_step(settings, training_mesh(1), 0)
        for _ in range(10):
            state = step(state, samples.pixels, samples.sizes)
        losses.append(np.asarray(state.losses))
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.parameters))
    assert not np.array_equal(*losses)
    np.testing.assert_allclose(*losses, rtol=0.02)


def test_a_model_of_another_architecture_is_refused_as_a_start(dataset, small, tmp_path):
    with pytest.raises(InputError, match="cannot be the start"):
        train(load_dataset(dataset, small), small, tmp_path / "run", initial=general_model())
    assert not (tmp_path / "run").exists()


def test_one_cycle_rises_to_its_peak_and_ends_near_zero(small):
    schedule = make_schedule(small.model_copy(update={"steps_per_epoch": 100, "epochs": 1}))
    rates = [float(schedule(step)) for step in range(101)]
    assert max(rates) == pytest.approx(small.learning_rate, rel=1e-3)
    assert rates[0] == pytest.approx(0.1 * small.learning_rate)
    assert rates[100] < 1e-3 * small.learning_rate


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_shortest_cycle_rises_for_one_step(small, steps):
    schedule = make_schedule(small.model_copy(update={"steps_per_epoch": steps, "epochs": 1}))
    first, *others = (float(schedule(step)) for step in range(steps))
    assert first == pytest.approx(0.1 * small.learning_rate)
    assert others == sorted(others, reverse=True)
    assert others[:1] in ([], [pytest.approx(small.learning_rate)])
