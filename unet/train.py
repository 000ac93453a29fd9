"""Training of a U-Net; an interrupted training resumes with identical losses."""

import hashlib
import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import flax
import jax
import numpy as np
from jax.sharding import Mesh

from nanorender import __version__
from nanorender.errors import InputError
from nanorender.execution.signals import INTERRUPTS
from nanorender.files.atomic import write_bytes
from unet.checkpoint import (
    ModelCard,
    read_card,
    read_checkpoint,
    read_model,
    write_checkpoint,
    write_model,
)
from unet.curves import write_curves
from unet.data import Samples
from unet.devices import (
    aligned,
    any_process,
    from_first_process,
    on_all,
    training_mesh,
    writes_files,
)
from unet.model import Weights
from unet.predict import make_model
from unet.presets import TrainSettings
from unet.run_folder import (
    CURVES_NAME,
    MODEL_NAME,
    RUN_NAME,
    LogEntry,
    append_log,
    epoch_path,
    read_log,
    truncate_log,
)
from unet.step import TrainState, initial_state, make_step, model_weights
from unet.validation import ValidationImage, write_predictions

READ_INTERVAL_S = 0.2
"""Time between two readings of the loss, and the longest that an interrupt waits for the device."""


class TrainingProgress(NamedTuple):
    """State of a training after a step.

    Attributes
    ----------
    step, steps : number of steps completed, and of the whole training
    epoch, epochs : number of the current epoch, and of all epochs
    loss : mean over the targets and over the steps of this epoch, as last read from the device
    seconds_per_step : mean duration of a step in this epoch, likewise
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    seconds_per_step: float

    def __str__(self) -> str:
        epoch = f"epoch {self.epoch} of {self.epochs}, loss {self.loss:.3f}"
        return f"{epoch}, {self.seconds_per_step:.2g} s a step"


def train(
    samples: Samples,
    settings: TrainSettings,
    run_folder: Path,
    validation: Sequence[ValidationImage] = (),
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    initial: Path | None = None,
) -> None:
    """Train a network, or resume an interrupted training.

    The run folder then contains run.json (settings and provenance), log.jsonl (one line per epoch),
    curves.png, last.safetensors and previous.safetensors (to resume), `epochs/*.safetensors`
    (models), validation/ (predictions) and model.safetensors (the model after the last epoch). On
    SIGINT and SIGTERM the current step is completed and the same files are written. Of several
    processes that train together (see `unet.devices`), the first one reads and writes the folder.

    Parameters
    ----------
    samples : training images with their targets
    settings : training settings
    run_folder : folder to write, created if missing
    validation : micrographs to predict during the training
    on_progress : function called after each step
    initial : model to start from; random weights if None

    Raises
    ------
    InputError
        If the model to start from has another architecture, the run folder belongs to other
        settings or another dataset, or several processes cannot divide the batch evenly.
    KeyboardInterrupt
        After SIGINT or SIGTERM, when all files are written.
    """
    # Start from the first step, or from the last checkpoint
    _use_compilation_cache()
    mesh = training_mesh(settings.batch)
    card, weights = _model_card(samples, settings), None
    if initial is not None:
        weights, digest = _read_initial(initial, settings)
        card = card.model_copy(update={"initial_sha256": digest})
    fingerprint = hashlib.sha256(card.model_dump_json().encode()).hexdigest()
    state = initial_state(settings, weights)
    if writes_files():
        state = read_checkpoint(run_folder, state, fingerprint) or state
    state = from_first_process(state)
    if writes_files():
        run_folder.mkdir(parents=True, exist_ok=True)
        _write_provenance(run_folder, card, mesh)
        truncate_log(run_folder, int(state.step) // settings.steps_per_epoch)

    # Move state and samples to the devices and compile the step
    state, pixels, sizes = on_all(mesh, (state, aligned(samples.pixels), samples.sizes))
    # Frozen settings are hashable, which the type checker does not infer.
    train_step = make_step(settings, mesh, samples.annotated)  # pyright: ignore[reportArgumentType]

    # Train epoch by epoch
    interrupted = False
    with _deferred_interrupt() as interrupt:
        while int(state.step) < settings.steps and not interrupted:
            started = time.perf_counter()
            state, interrupted = _run_epoch(
                lambda state: train_step(state, pixels, sizes),
                state,
                settings,
                on_progress,
                interrupt,
            )
            epoch, steps_of_epoch = divmod(int(state.step), settings.steps_per_epoch)
            card = card.model_copy(update={"epoch": epoch})
            if steps_of_epoch == 0:
                if writes_files():
                    seconds = time.perf_counter() - started
                    _finish_epoch(run_folder, card, state, validation, seconds)
                state = state._replace(losses=on_all(mesh, np.zeros(len(settings.targets), "f4")))
            if writes_files():
                write_checkpoint(run_folder, state, fingerprint)

    # Write the model
    if writes_files():
        card = card.model_copy(update={"epoch": int(state.step) // settings.steps_per_epoch})
        write_model(run_folder / MODEL_NAME, card, model_weights(state))
        write_curves(run_folder / CURVES_NAME, read_log(run_folder))
    if interrupted:
        raise KeyboardInterrupt


def _run_epoch(
    step: Callable[[TrainState], TrainState],
    state: TrainState,
    settings: TrainSettings,
    on_progress: Callable[[TrainingProgress], None],
    interrupt: threading.Event,
) -> tuple[TrainState, bool]:
    """Train to the end of the epoch, or until interrupted; return the state and whether it was.

    Reading the loss waits for the device, which then waits for the next step. Where steps are fast,
    it is therefore read every `READ_INTERVAL_S` only.
    """
    first = int(state.step)
    begun = time.perf_counter()
    epoch, steps_of_epoch = divmod(first, settings.steps_per_epoch)
    loss, seconds, next_read = 0.0, 0.0, 0
    for done in range(steps_of_epoch + 1, settings.steps_per_epoch + 1):
        state = step(state)
        number = epoch * settings.steps_per_epoch + done
        if number >= next_read or done == settings.steps_per_epoch:
            loss = float(np.asarray(state.losses).mean()) / done
            seconds = (time.perf_counter() - begun) / (number - first)
            next_read = number + _steps_between_reads(seconds)
        on_progress(
            TrainingProgress(number, settings.steps, epoch + 1, settings.epochs, loss, seconds)
        )
        if any_process(interrupt.is_set()):
            return state, True
    return state, False


def _steps_between_reads(seconds_per_step: float) -> int:
    """Return the number of steps to the next reading; 1 if several processes have to agree."""
    if jax.process_count() > 1:
        return 1
    return max(1, int(READ_INTERVAL_S / seconds_per_step))


def _finish_epoch(
    run_folder: Path,
    card: ModelCard,
    state: TrainState,
    validation: Sequence[ValidationImage],
    seconds: float,
) -> None:
    """Write the model and its predictions where the settings ask for them, and extend the log."""
    settings = card.training
    is_last = card.epoch == settings.epochs
    weights = model_weights(state)
    losses = (np.asarray(state.losses) / settings.steps_per_epoch).tolist()
    entry = LogEntry(
        epoch=card.epoch,
        step=int(state.step),
        seconds=round(seconds, 3),
        loss=dict(zip(settings.targets, losses, strict=True)),
    )
    if card.epoch % settings.keep_every == 0 or is_last:
        path = epoch_path(run_folder, card.epoch)
        path.parent.mkdir(exist_ok=True)
        write_model(path, card, weights)
    if validation and (card.epoch % settings.validate_every == 0 or is_last):
        scores = write_predictions(run_folder, make_model(card, weights), validation)
        entry = entry.model_copy(
            update={
                "pixel_f1": {name: score.pixel_f1 for name, score in scores.items()},
                "error": {name: score.error for name, score in scores.items()},
            }
        )
    append_log(run_folder, entry)
    if entry.error is not None:
        write_curves(run_folder / CURVES_NAME, read_log(run_folder))


def is_training_of(
    run_folder: Path, samples: Samples, settings: TrainSettings, initial: Path
) -> bool:
    """Return whether a run folder is that of a training, begun or finished.

    Parameters
    ----------
    run_folder : folder, which may be missing
    samples : training images with their targets
    settings : training settings
    initial : model to start from

    Returns
    -------
    Whether its images, settings and first weights are these.
    """
    try:
        record = json.loads((run_folder / RUN_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    card = _model_card(samples, settings)
    card = card.model_copy(update={"initial_sha256": read_card(initial).weights_sha256})
    expected = card.model_dump(mode="json")
    names = ("dataset_sha256", "initial_sha256", "training", "version")
    return all(record.get(name) == expected[name] for name in names)


def _model_card(samples: Samples, settings: TrainSettings) -> ModelCard:
    """Build the header of the model files of a training."""
    digest = hashlib.sha256(samples.sizes.data)
    digest.update(samples.pixels.data)
    return ModelCard(
        training=settings,
        pixel_sizes=samples.pixel_sizes,
        trained_diameters=samples.diameters,
        relative_loss=samples.relative_loss,
        annotated_images=samples.annotated,
        dataset_sha256=digest.hexdigest(),
        epoch=0,
        version=__version__,
    )


def _read_initial(path: Path, settings: TrainSettings) -> tuple[Weights, str]:
    """Read the weights to start from and their hash; InputError if they do not fit."""
    card, weights = read_model(path)
    theirs, ours = card.training, settings
    if (theirs.architecture, theirs.targets) != (ours.architecture, ours.targets):
        raise InputError(
            f"{path} cannot be the start: its channels (={list(theirs.channels)}), block_px "
            f"(={theirs.block_px}) and targets (={list(theirs.targets)}) must be those of the "
            f"preset ({list(ours.channels)}, {ours.block_px} and {list(ours.targets)})"
        )
    return {name: np.asarray(array, np.float32) for name, array in weights.items()}, (
        card.weights_sha256
    )


def _write_provenance(run_folder: Path, card: ModelCard, mesh: Mesh) -> None:
    """Write settings, devices and versions to run.json."""
    content = card.model_dump(mode="json", exclude={"epoch", "format"}) | {
        "device": mesh.devices.flat[0].device_kind,
        "devices": mesh.size,
        "processes": jax.process_count(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
    }
    write_bytes(run_folder / RUN_NAME, (json.dumps(content, indent=2) + "\n").encode())


def _use_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, so that later trainings start faster."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(base / "nanorender" / "xla"))


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set instead of raising within a step.

    Only the main thread can receive signals; in other threads, the event is never set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = [signal.signal(number, lambda *_: event.set()) for number in INTERRUPTS]
    try:
        yield event
    finally:
        for number, handler in zip(INTERRUPTS, before, strict=True):
            signal.signal(number, handler)
