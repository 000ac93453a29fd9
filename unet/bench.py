"""Speed of training and of prediction on the device at hand."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from nanorender.files.labeled import LabeledImage
from nanorender.models import general_model
from unet.data import make_samples
from unet.devices import describe_devices, divide_cpu, on_all, training_mesh
from unet.predict import load_model, predict_window, prepare_search, whole_window
from unet.presets import preset
from unet.segment import segment_image
from unet.step import activation_type, initial_state, make_step

_STEPS = 10  # between two readings of the clock
_REPEATS = 3


def presets_for(device: str) -> tuple[str, ...]:
    """Return the training presets that suit a platform.

    Parameters
    ----------
    device : platform as JAX names it, such as "cpu" or "gpu"

    Returns
    -------
    presets : keys of `unet.presets.PRESETS`

    Examples
    --------
    >>> presets_for("cpu")
    ('cpu',)
    """
    return ("cpu",) if device == "cpu" else ("cpu", "general", "gpu", "paper")


def bench_network(
    training: Sequence[LabeledImage], image: UInt8[np.ndarray, "h w"]
) -> dict[str, Any]:
    """Measure training steps, and the segmentation of an image by the general model.

    Times are medians after a first step or image, which compiles the program.

    Parameters
    ----------
    training : images to train on
    image : (h, w) gray values to segment

    Returns
    -------
    measured : dict of

        - device : name of the device
        - training : by preset, compile_s, step_ms and precision (type of the activations)
        - predict_ms_per_mpx : maps of the general model at all magnifications of its search
        - segment_ms_per_mpx : the same with separation and choice of the particles
    """
    divide_cpu(preset("cpu").batch)
    names = presets_for(jax.default_backend())
    return {
        "device": describe_devices(training_mesh(preset(names[-1]).batch)),
        "training": {name: _time_training(name, training) for name in names},
        **_time_segmentation(image),
    }


def format_bench(measured: dict[str, Any]) -> list[str]:
    """Format the result of `bench_network` as lines of text.

    Parameters
    ----------
    measured : from `bench_network`

    Returns
    -------
    lines : lines of text
    """
    lines = [measured["device"]]
    for name, each in measured["training"].items():
        lines.append(
            f"{'training step, ' + name:<30}{each['step_ms']:8.1f} ms ({each['precision']}, "
            f"compiled in {each['compile_s']:.0f} s)"
        )
    lines.append(
        f"prediction, general model {measured['predict_ms_per_mpx']:8.0f} ms per megapixel"
    )
    lines.append(
        f"segmentation, all of it   {measured['segment_ms_per_mpx']:8.0f} ms per megapixel"
    )
    return lines


def _time_training(name: str, images: Sequence[LabeledImage]) -> dict[str, Any]:
    """Measure compilation and steps of a preset."""
    settings = preset(name)
    mesh = training_mesh(settings.batch)
    samples = make_samples(images, len(images), settings)
    start = (initial_state(settings), samples.pixels, samples.sizes)
    state, pixels, sizes = on_all(mesh, start)
    step = make_step(settings, mesh, samples.annotated)  # pyright: ignore[reportArgumentType]

    def advance(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state = step(state, pixels, sizes)
        jax.block_until_ready(state)

    compile_s = _seconds(lambda: advance(1))
    step_s = median(_seconds(lambda: advance(_STEPS)) / _STEPS for _ in range(_REPEATS))
    return {
        "compile_s": compile_s,
        "step_ms": 1e3 * step_s,
        "precision": activation_type(settings, mesh).name,
    }


def _time_segmentation(image: UInt8[np.ndarray, "h w"]) -> dict[str, float]:
    """Measure prediction and segmentation by the general model, predicted once."""
    model = load_model(general_model())
    megapixels = image.size / 1e6

    def predict_all() -> None:
        for each in prepare_search(model, image, None):
            shape = each.equalized.shape
            predict_window(model, replace(each, shape=shape), whole_window(shape), averaged=False)

    measured = {}
    for name, work in (
        ("predict_ms_per_mpx", predict_all),
        ("segment_ms_per_mpx", lambda: segment_image(image, model=model)),
    ):
        work()
        seconds = median(_seconds(work) for _ in range(_REPEATS))
        measured[name] = 1e3 * seconds / megapixels
    return measured


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
