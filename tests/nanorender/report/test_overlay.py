import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cdist

from nanorender.report.overlay import (
    OKABE_ITO,
    inner_edges,
    neighbor_colors,
    number_places,
    overlay,
    palette,
    to_uint8,
)

label_maps = arrays.arrays(
    np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 20)
)


@settings(max_examples=60, deadline=None)
@given(label_maps)
def test_touching_particles_never_have_the_same_color(labels):
    colors = neighbor_colors(labels)
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        there = np.roll(labels, step, axis=(0, 1))
        valid = np.ones(labels.shape, bool)
        valid[: step[0]] = False
        if step[1]:
            valid[:, 0 if step[1] > 0 else -1] = False
        touching = valid & (labels != there) & (labels > 0) & (there > 0)
        assert (colors[labels[touching]] != colors[there[touching]]).all()


def test_cells_of_a_plane_need_no_color_beyond_the_palette():
    rng = np.random.default_rng(5)
    seeds = rng.uniform(0, 120, (300, 2))
    pixels = np.stack(np.mgrid[:120, :120], axis=-1).reshape(-1, 2)
    cells = (np.argmin(cdist(pixels, seeds), axis=1) + 1).reshape(120, 120).astype(np.int32)
    colors = neighbor_colors(cells)
    assert colors.max() < len(OKABE_ITO)
    uses = np.bincount(colors[1:], minlength=len(OKABE_ITO))
    assert uses.min() > 0.7 * uses.mean()


def test_colors_are_all_different_beyond_the_palette_too():
    colors = palette(40)
    assert colors.shape == (40, 3)
    assert len({tuple(color) for color in colors.tolist()}) == 40


def test_the_background_keeps_its_gray_and_an_outline_has_its_color_unmixed():
    image = np.full((40, 40), 90, np.uint8)
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30] = 1
    rgb = overlay(image, labels)
    assert (rgb[labels == 0] == 90).all()
    edge = rgb[inner_edges(labels, 1)]
    assert {tuple(color) for color in edge.tolist()} == {OKABE_ITO[neighbor_colors(labels)[1]]}
    assert (rgb[20, 20] != edge[0]).any()


def test_the_inner_edge_of_a_square_is_its_rim():
    labels = np.zeros((12, 12), np.int32)
    labels[2:10, 2:10] = 1
    assert inner_edges(labels, 1).sum() == 8 * 8 - 6 * 6
    assert inner_edges(labels, 2).sum() == 8 * 8 - 4 * 4


def test_sixteen_bits_are_stretched_to_eight_and_eight_stay():
    image = np.array([[1000, 2000, 3000]], np.uint16)
    assert to_uint8(image).tolist() == [[0, 128, 255]]
    flat = np.full((2, 2), 700, np.uint16)
    assert to_uint8(flat).tolist() == [[0, 0], [0, 0]]
    dark = np.array([[3, 9]], np.uint8)
    assert to_uint8(dark).tolist() == [[3, 9]]


def test_a_number_stands_inside_its_particle_even_if_that_is_bent():
    labels = np.zeros((50, 50), np.int32)
    labels[5:45, 5:12] = 1
    labels[38:45, 5:45] = 1
    labels[0:3, 47:50] = 2
    for label, x, y in number_places(labels):
        assert labels[int(y), int(x)] == label
    assert number_places(labels)[1].tolist() == [2, 48.5, 1.5]


def test_image_without_particles_is_unchanged():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    labels = np.zeros((8, 8), np.int32)
    assert (overlay(image, labels) == image[..., None]).all()
    assert number_places(labels).shape == (0, 3)
