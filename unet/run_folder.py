"""Run folder of a training: names of its files, and its log."""

import json
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nanorender.errors import InputError
from nanorender.files.atomic import write_bytes
from nanorender.settings import read_text

RUN_NAME = "run.json"
LOG_NAME = "log.jsonl"
CURVES_NAME = "curves.png"
MODEL_NAME = "model.safetensors"
LAST_NAME = "last.safetensors"
PREVIOUS_NAME = "previous.safetensors"
_LARGEST_LOG_BYTES = 1 << 28


class LogEntry(BaseModel):
    """Losses and scores after an epoch, one line of the log.

    Values may be infinite or not a number, as in a training that diverges.

    Attributes
    ----------
    epoch, step : number of epochs and of steps completed
    seconds : duration of the epoch
    loss : mean training loss of each target
    pixel_f1 : F1 score of the pixels of each annotated validation image
    error : cross-entropy of the foreground of each annotated validation image, in nats per pixel
    """

    model_config = ConfigDict(frozen=True)

    epoch: int
    step: int
    seconds: float
    loss: dict[str, float]
    pixel_f1: dict[str, float] | None = None
    error: dict[str, float] | None = None


def epoch_path(run_folder: Path, epoch: int) -> Path:
    """Path of the model after an epoch.

    Parameters
    ----------
    run_folder : folder of the training
    epoch : number of the epoch, the first being 1

    Returns
    -------
    path : path of the model file

    Examples
    --------
    >>> epoch_path(Path("run"), 3).as_posix()
    'run/epochs/0003.safetensors'
    """
    return run_folder / "epochs" / f"{epoch:04d}.safetensors"


def prediction_path(run_folder: Path, epoch: int, name: str) -> Path:
    """Path of the prediction of a validation image after an epoch.

    Parameters
    ----------
    run_folder : folder of the training
    epoch : number of the epoch, the first being 1
    name : name of the image

    Returns
    -------
    path : path of a TIFF file
    """
    return run_folder / "validation" / f"{epoch:04d}" / f"{name}.tif"


def epochs_with_weights(run_folder: Path) -> list[int]:
    """List the epochs whose models were kept, in ascending order; other files are ignored.

    Parameters
    ----------
    run_folder : folder of the training

    Returns
    -------
    epochs : numbers of the epochs
    """
    paths = (run_folder / "epochs").glob("*.safetensors")
    return sorted(int(path.stem) for path in paths if re.fullmatch(r"\d{4,9}", path.stem, re.ASCII))


def read_log(run_folder: Path) -> list[LogEntry]:
    """Read the log of a training.

    Parameters
    ----------
    run_folder : folder of the training

    Returns
    -------
    log : one entry per epoch; empty if there is no log

    Raises
    ------
    InputError
        If the log is damaged.
    """
    path = run_folder / LOG_NAME
    if not path.exists():
        return []
    lines = read_text(path, _LARGEST_LOG_BYTES).splitlines()
    try:
        return [LogEntry.model_validate_json(line) for line in lines]
    except ValidationError:
        raise InputError(
            f"{path} is damaged or from another version; remove it to continue without a log"
        ) from None


def append_log(run_folder: Path, entry: LogEntry) -> None:
    """Append an entry to the log of a training.

    Parameters
    ----------
    run_folder : folder of the training
    entry : losses and scores after an epoch
    """
    with (run_folder / LOG_NAME).open("a", encoding="utf-8", newline="\n") as file:
        file.write(_as_line(entry))


def truncate_log(run_folder: Path, epochs: int) -> None:
    """Truncate the log after a number of epochs.

    Parameters
    ----------
    run_folder : folder of the training
    epochs : number of entries to keep

    Raises
    ------
    InputError
        If the log is damaged.
    """
    lines = [_as_line(entry) for entry in read_log(run_folder)[:epochs]]
    write_bytes(run_folder / LOG_NAME, "".join(lines).encode())


def _as_line(entry: LogEntry) -> str:
    return json.dumps(entry.model_dump(exclude_none=True)) + "\n"
