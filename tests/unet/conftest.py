import numpy as np
import pytest

from nanorender.files.dataset import create_dataset, write_sample
from unet.checkpoint import ModelCard
from unet.data import PixelSizes
from unet.presets import CPU


@pytest.fixture
def rng():
    """Return a seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture
def discs():
    """Return a function that draws bright noisy discs covering each other: image and labels."""

    def draw(seed, size_px=64):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:size_px, :size_px] + 0.5
        labels = np.zeros((size_px, size_px), np.int32)
        for label in range(1, size_px**2 // 400):
            center_y, center_x = rng.uniform(0, size_px, 2)
            labels[np.hypot(y - center_y, x - center_x) < rng.uniform(4, 10)] = label
        gray = np.where(labels > 0, 150 + 60 * (labels % 2), 60) + rng.normal(0, 8, labels.shape)
        return gray.clip(0, 255).astype(np.uint8), labels

    return draw


@pytest.fixture
def dataset(tmp_path, discs):
    """Return the folder of a dataset of three images of discs at 5, 6 and 7 nm per pixel."""
    folder = tmp_path / "dataset"
    create_dataset(folder, "discs", "", seed=0, count=3)
    for index in range(3):
        write_sample(folder, index, *discs(index), {}, 5.0 + index)
    return folder


@pytest.fixture
def small():
    """Return settings of the smallest training that has all parts."""
    changes = {"channels": (3, 4), "block_px": 1, "patch_px": 32, "batch": 2}
    return CPU.model_copy(update=changes | {"steps_per_epoch": 2, "epochs": 3})


@pytest.fixture
def pixel_sizes():
    """Return the pixel sizes of a training at 5 to 7 nm."""
    return PixelSizes(lowest_nm=5, median_nm=6, highest_nm=7)


@pytest.fixture
def card(small, pixel_sizes):
    """Return the header of a model that the smallest training would write."""
    return ModelCard(
        training=small, pixel_sizes=pixel_sizes, dataset_sha256="0", epoch=1, version="0"
    )


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    """Keep compiled programs of the tests apart from the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
