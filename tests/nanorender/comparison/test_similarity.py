import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nanorender.comparison.similarity import (
    PATCH_PX,
    Patches,
    patches_at_random,
    patches_in_sequence,
    scatter_plot,
    similarity,
    write_similarity,
)
from nanorender.errors import InputError


def gradient(height, width):
    """An image in which every pixel tells its own place."""
    return np.arange(height * width, dtype=np.uint16).reshape(height, width)


def noise(count, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, PATCH_PX, PATCH_PX), np.uint8)
    return Patches(pixels, tuple(f"image{number}" for number in range(count)))


def own_numbers(shift):
    """Features that part the first half of the patches from the second by `shift`."""

    def of(patches):
        described = np.random.default_rng(4).normal(size=(len(patches), 6))
        described[: len(patches) // 2, 0] += shift
        return described

    return of


def test_real_patches_tile_the_images_row_by_row():
    image = np.random.default_rng(0).integers(0, 256, (300, 440), np.uint8)
    found = patches_in_sequence([("a", image), ("b", image[:150, :150])], 100)
    assert found.sources == ("a",) * 6 + ("b",)
    for number, (row, column) in enumerate(np.ndindex(2, 3)):
        tile = image[row * 144 : row * 144 + 144, column * 144 : column * 144 + 144]
        np.testing.assert_array_equal(found.pixels[number], tile)


def test_fewer_are_chosen_from_first_to_last():
    image = np.zeros((144, 1440), np.uint8)
    image[:] = np.repeat(np.arange(10), 144)
    found = patches_in_sequence([("a", image)], 4)
    assert found.pixels[:, 0, 0].tolist() == [0, 3, 6, 9]


def test_synthetic_patches_come_from_anywhere_in_all_images():
    images = [(str(number), np.full((200, 300), number, np.uint8)) for number in range(4)]
    found = patches_at_random(images, 4, 400, np.random.default_rng(0))
    counts = np.bincount([int(source) for source in found.sources])
    assert counts.sum() == 400
    assert (np.abs(counts - 100) < 4 * np.sqrt(75)).all()
    assert [patch[0, 0] for patch in found.pixels] == [int(source) for source in found.sources]


def test_sixteen_bits_are_stretched_over_the_whole_image():
    found = patches_in_sequence([("a", gradient(144, 288))], 2)
    assert found.pixels[0].min() == 0
    assert found.pixels[1].max() == 255


def test_patches_of_one_kind_are_told_apart_by_chance_only():
    found = similarity(noise(40, 0), noise(40, 1), own_numbers(0), "numbers", 0)
    low, high = found.interval
    assert low < 0.5 < high
    apart = similarity(noise(20, 0), noise(20, 1), own_numbers(50), "numbers", 0)
    assert apart.told_apart == 1
    assert apart.components == 2  # the shift alone is most of the variance, but a plane needs two


def test_too_few_patches_are_refused():
    with pytest.raises(InputError, match="3 synthetic patches of 144 x 144"):
        similarity(noise(10, 0), noise(3, 1), own_numbers(0), "numbers", 0)


def test_the_plot_says_which_features_were_used_and_shows_patches(tmp_path):
    found = similarity(noise(20, 0), noise(20, 1), own_numbers(3), "Testnet", 0)
    figure = scatter_plot(found)
    (axes,) = figure.axes
    assert "Testnet" in axes.get_title(loc="left")
    assert len(axes.artists) > 5
    write_similarity(found, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size == (1200, 1200)
    table = pd.read_csv(tmp_path / "plot.csv")
    assert table["kind"].value_counts().to_dict() == {"real": 20, "synthetic": 20}
    np.testing.assert_allclose(table[["tsne_x", "tsne_y"]], found.places, rtol=1e-5)
