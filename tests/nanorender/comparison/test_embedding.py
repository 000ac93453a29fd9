from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nanorender.comparison.embedding import (
    PATCH_PX,
    FeatureExtractor,
    embed_images,
    embedding_figure,
    note_on_scale,
    random_patches,
    tiled_patches,
    write_embedding,
)
from nanorender.errors import InputError
from nanorender.files.micrograph import Micrograph
from nanorender.files.ondemand import ReadOnDemand


def micrograph(name, image, pixel_size_nm=None):
    crop = (0, image.shape[0], 0, image.shape[1])
    return Micrograph(image, pixel_size_nm, "known", crop, image.shape, Path(f"{name}.tif"))


def gradient(height, width):
    """An image in which every pixel tells its own place."""
    return np.arange(height * width, dtype=np.uint16).reshape(height, width)


def noise(count, seed):
    shape = (count, PATCH_PX, PATCH_PX)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return [micrograph(f"image{number}", image) for number, image in enumerate(pixels)]


def own_numbers(shift):
    """Features that part the first half of the patches from the second by `shift`."""

    def extract(patches):
        described = np.random.default_rng(4).normal(size=(len(patches), 6))
        described[: len(patches) // 2, 0] += shift
        return described

    return FeatureExtractor("Testnet", extract)


def test_real_patches_tile_the_images_row_by_row():
    image = np.random.default_rng(0).integers(0, 256, (300, 440), np.uint8)
    found = tiled_patches([micrograph("a", image), micrograph("b", image[:150, :150])], 100)
    assert [name for name, _ in found] == ["a"] * 6 + ["b"]
    for number, (row, column) in enumerate(np.ndindex(2, 3)):
        tile = image[row * 144 : row * 144 + 144, column * 144 : column * 144 + 144]
        np.testing.assert_array_equal(found[number][1], tile)


def test_subsets_are_evenly_spread():
    image = np.zeros((144, 1440), np.uint8)
    image[:] = np.repeat(np.arange(10), 144)
    found = tiled_patches([micrograph("a", image)], 4)
    assert [patch[0, 0] for _, patch in found] == [0, 3, 6, 9]


def test_synthetic_patches_come_from_anywhere_in_all_images():
    images = [micrograph(number, np.full((200, 300), number, np.uint8)) for number in range(4)]
    found = random_patches(images, 400, np.random.default_rng(0))
    counts = np.bincount([int(name) for name, _ in found])
    assert counts.sum() == 400
    assert (np.abs(counts - 100) < 4 * np.sqrt(75)).all()
    assert [patch[0, 0] for _, patch in found] == [int(name) for name, _ in found]


def test_sixteen_bits_are_stretched_over_the_whole_image():
    found = tiled_patches([micrograph("a", gradient(144, 288))], 2)
    assert found[0][1].min() == 0
    assert found[1][1].max() == 255


def test_nearest_neighbors_separate_only_patches_that_differ():
    found = embed_images(noise(40, 0), noise(40, 1), own_numbers(0), 200, 0)
    low, high = found.interval
    assert low < 0.5 < high
    apart = embed_images(noise(20, 0), noise(20, 1), own_numbers(50), 200, 0)
    assert apart.neighbor_accuracy == 1
    assert apart.components == 2  # the shift alone is most of the variance, but a plane needs two


def test_too_few_patches_are_refused():
    small = [micrograph("small", np.zeros((100, 100), np.uint8))]
    with pytest.raises(InputError, match="0 synthetic patches of 144 x 144"):
        embed_images(noise(10, 0), small, own_numbers(0), 200, 0)


def test_the_plot_says_which_features_were_used_and_shows_patches(tmp_path):
    found = embed_images(noise(20, 0), noise(20, 1), own_numbers(3), 200, 0)
    figure = embedding_figure(found)
    (axes,) = figure.axes
    assert "Testnet" in axes.get_title(loc="left")
    assert len(axes.artists) > 5
    write_embedding(found, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size == (1200, 1200)
    table = pd.read_csv(tmp_path / "plot.csv")
    assert table["kind"].value_counts().to_dict() == {"real": 20, "synthetic": 20}
    columns = ["tsne_x", "tsne_y"]
    np.testing.assert_allclose(table[columns], found.table[columns], rtol=1e-5)


@pytest.mark.parametrize(
    ("real_nm", "synthetic_nm", "noted"),
    [(7.3, 3.5, True), (3.5, 7.3, True), (7.3, 7.0, False), (None, 3.5, False)],
)
def test_different_pixel_sizes_are_noted(real_nm, synthetic_nm, noted):
    flat = np.zeros((20, 30), np.uint8)
    pair = [micrograph("a", flat, size_nm) for size_nm in (real_nm, synthetic_nm)]
    assert (note_on_scale(*pair) is not None) == noted


def test_patches_of_images_on_demand_are_those_of_images_in_memory():
    images = [micrograph(f"image{edge}", gradient(edge, edge)) for edge in (150, 100, 300, 440)]
    reads = []
    on_demand = ReadOnDemand(images, lambda image: (reads.append(image.name), image)[1])
    for count in (3, 100):
        reads.clear()
        for (name, found), (expected_name, expected) in zip(
            tiled_patches(on_demand, count), tiled_patches(images, count), strict=True
        ):
            assert name == expected_name
            np.testing.assert_array_equal(found, expected)
        assert len(reads) <= 2 * len(images) + 1  # one to check the type
    drawn = (random_patches(each, 9, np.random.default_rng(3)) for each in (on_demand, images))
    assert all(
        one[0] == other[0] and (one[1] == other[1]).all() for one, other in zip(*drawn, strict=True)
    )
