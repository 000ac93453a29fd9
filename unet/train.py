"""Training of the U-Net on a dataset folder, which resumes to the same losses when cut off."""

import hashlib
import json
import os
import platform
import re
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
from nanorender.files.atomic import write_bytes
from nanorender.settings import read_text
from unet.checkpoint import (
    MODEL_NAME,
    ModelCard,
    read_checkpoint,
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
from unet.predict import make_model
from unet.presets import TrainSettings
from unet.step import TrainState, initial_state, make_step, model_weights
from unet.validation import Scores, ValidationImage, keep_predictions

RUN_NAME = "run.json"
LOG_NAME = "log.jsonl"
CURVES_NAME = "curves.png"
LARGEST_LOG_BYTES = 1 << 28


class Progress(NamedTuple):
    """What is known after a training step.

    Attributes
    ----------
    loss: mean over the targets and over the steps of this epoch
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
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Train a network on samples, or go on where a run was cut off.

    The run folder then holds run.json (settings and provenance), log.jsonl (a line an epoch),
    curves.png, last.safetensors and previous.safetensors (to resume), epochs/*.safetensors
    (models), validation/ (predictions) and model.safetensors (the model after the last epoch). On
    SIGINT and SIGTERM the step is finished and the same files are left. Of several processes that
    train together (see `unet.devices`), the first one reads and writes the folder.

    Raises
    ------
    InputError
        If the run folder is of other settings or another dataset, or several processes cannot
        divide the batch.
    KeyboardInterrupt
        After SIGINT or SIGTERM, when all is written.
    """
    use_compilation_cache()
    mesh = training_mesh(settings.batch)
    card = _model_card(samples, settings)
    fingerprint = hashlib.sha256(card.model_dump_json().encode()).hexdigest()
    state = _first_state(run_folder, settings, fingerprint)
    if writes_files():
        run_folder.mkdir(parents=True, exist_ok=True)
        _write_provenance(run_folder, card, mesh)
        _cut_log(run_folder, int(state.step) // settings.steps_per_epoch)
    state, pixels, sizes = on_all(mesh, (state, aligned(samples.pixels), samples.sizes))
    # Frozen settings are hashable, which the type checker does not see.
    train_step = make_step(settings, mesh, samples.annotated)  # pyright: ignore[reportArgumentType]
    interrupted = False
    with _noticing_interrupt() as noticed:
        while int(state.step) < settings.steps and not interrupted:
            started = time.perf_counter()
            state, interrupted = _run_epoch(
                lambda state: train_step(state, pixels, sizes),
                state,
                settings,
                on_progress,
                noticed,
            )
            epoch, into_epoch = divmod(int(state.step), settings.steps_per_epoch)
            card = card.model_copy(update={"epoch": epoch})
            if into_epoch == 0:
                if writes_files():
                    _finish_epoch(run_folder, card, state, validation, started)
                state = state._replace(losses=on_all(mesh, np.zeros(len(settings.targets), "f4")))
            if writes_files():
                write_checkpoint(run_folder, state, fingerprint)
    epoch = int(state.step) // settings.steps_per_epoch
    if writes_files():
        card = card.model_copy(update={"epoch": epoch})
        write_model(run_folder / MODEL_NAME, card, model_weights(state))
        write_curves(run_folder / CURVES_NAME, read_log(run_folder))
    if interrupted:
        raise KeyboardInterrupt


def _first_state(run_folder: Path, settings: TrainSettings, fingerprint: str) -> TrainState:
    """Return the state that a training goes on from, or begins with."""
    state = initial_state(settings)
    resumed = read_checkpoint(run_folder, state, fingerprint) if writes_files() else None
    return from_first_process(state if resumed is None else resumed)


def use_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder: a step compiles in seconds once only."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(base / "nanorender" / "xla"))


def epoch_path(run_folder: Path, epoch: int) -> Path:
    """Return where the model after an epoch is kept."""
    return run_folder / "epochs" / f"{epoch:04d}.safetensors"


def epochs_with_weights(run_folder: Path) -> list[int]:
    """Return the epochs of which a run keeps the model, in order; other files are no epochs."""
    paths = (run_folder / "epochs").glob("*.safetensors")
    return sorted(int(path.stem) for path in paths if re.fullmatch(r"\d{4,9}", path.stem, re.ASCII))


def read_log(run_folder: Path) -> list[dict]:
    """Return the lines of a run's log, one an epoch; raises InputError if it is damaged."""
    path = run_folder / LOG_NAME
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in read_text(path, LARGEST_LOG_BYTES).splitlines()]
    except (ValueError, RecursionError):
        raise InputError(
            f"{path} is damaged; remove it, and the training goes on without"
        ) from None
    if not all(_is_of_an_epoch(line) for line in lines):
        raise InputError(f"{path} has lines of another program; remove it to go on without")
    return lines


def _is_of_an_epoch(line: object) -> bool:
    """Return whether a line of a log has what the curves are drawn from."""
    if not isinstance(line, dict) or not {"epoch", "loss"} <= line.keys():
        return False
    of_names = [line[key] for key in ("loss", *Scores._fields) if key in line]
    if not all(isinstance(values, dict) for values in of_names):
        return False
    numbers = [line["epoch"], *(value for values in of_names for value in values.values())]
    return all(isinstance(number, int | float) for number in numbers)


def _run_epoch(
    step: Callable[[TrainState], TrainState],
    state: TrainState,
    settings: TrainSettings,
    on_progress: Callable[[Progress], None],
    noticed: threading.Event,
) -> tuple[TrainState, bool]:
    """Train to the end of the epoch, or of the step in which an interrupt came, and say which."""
    begun = time.perf_counter()
    first = int(state.step)
    epoch, into_epoch = divmod(first, settings.steps_per_epoch)
    for done in range(into_epoch + 1, settings.steps_per_epoch + 1):
        state = step(state)
        loss = float(np.asarray(state.losses).mean()) / done
        number = epoch * settings.steps_per_epoch + done
        seconds = (time.perf_counter() - begun) / (number - first)
        on_progress(Progress(number, settings.steps, epoch + 1, settings.epochs, loss, seconds))
        if any_process(noticed.is_set()):
            return state, True
    return state, False


def _finish_epoch(
    run_folder: Path,
    card: ModelCard,
    state: TrainState,
    validation: Sequence[ValidationImage],
    started: float,
) -> None:
    """Keep the model and its predictions where the settings say so, and write a line of the log."""
    settings = card.training
    seconds = time.perf_counter() - started
    last = card.epoch == settings.epochs
    weights = model_weights(state)
    losses = np.asarray(state.losses) / settings.steps_per_epoch
    line: dict = {"epoch": card.epoch, "step": int(state.step), "seconds": round(seconds, 3)}
    line["loss"] = {name: float(loss) for name, loss in zip(settings.targets, losses, strict=True)}
    if card.epoch % settings.keep_every == 0 or last:
        path = epoch_path(run_folder, card.epoch)
        path.parent.mkdir(exist_ok=True)
        write_model(path, card, weights)
    if validation and (card.epoch % settings.validate_every == 0 or last):
        scores = keep_predictions(run_folder, make_model(card, weights), validation)
        for score in Scores._fields:
            line[score] = {name: getattr(values, score) for name, values in scores.items()}
    with (run_folder / LOG_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    if len(validation) and "error" in line:
        write_curves(run_folder / CURVES_NAME, read_log(run_folder))


def _model_card(samples: Samples, settings: TrainSettings) -> ModelCard:
    """Return the header of a model that is yet to be trained on these samples."""
    digest = hashlib.sha256(samples.sizes.data)
    digest.update(samples.pixels.data)
    return ModelCard(
        training=settings,
        pixel_sizes=samples.pixel_sizes,
        least_trained_nm=samples.least_trained_nm,
        annotated_images=samples.annotated,
        dataset_sha256=digest.hexdigest(),
        epoch=0,
        version=__version__,
    )


def _write_provenance(run_folder: Path, card: ModelCard, mesh: Mesh) -> None:
    """Write what is trained on what and where, for the reader."""
    content = card.model_dump(mode="json", exclude={"epoch", "format"}) | {
        "device": mesh.devices.flat[0].device_kind,
        "devices": mesh.size,
        "processes": jax.process_count(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
    }
    write_bytes(run_folder / RUN_NAME, (json.dumps(content, indent=2) + "\n").encode())


def _cut_log(run_folder: Path, epochs: int) -> None:
    """Leave the lines of the epochs that the resumed state has behind it."""
    lines = [json.dumps(line) + "\n" for line in read_log(run_folder)[:epochs]]
    write_bytes(run_folder / LOG_NAME, "".join(lines).encode())


@contextmanager
def _noticing_interrupt() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set, in the place of an exception amid a step.

    Only the main thread may receive signals; trained elsewhere, the event is never set.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: event.set()) for number in signals]
    try:
        yield event
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
