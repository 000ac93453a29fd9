import heapq
import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from shapes import disc
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from nanorender.separation.chamfer import CHAMFER_WEIGHTS, chamfer_distance
from nanorender.separation.connectivity import NEIGHBORS
from nanorender.separation.flooding import flood, flood_with_dams
from nanorender.separation.watershed import extended_maxima

CROSS = ndimage.generate_binary_structure(2, 1)
SHAPE = (12, 17)
heights = arrays(np.float32, SHAPE, elements=st.integers(0, 9).map(float))
seeds = arrays(bool, SHAPE, elements=st.sampled_from([True, False, False, False, False]))
connectivities = st.sampled_from([4, 8])


def numbered(seeds, mask, connectivity):
    structure = CROSS if connectivity == 4 else np.ones((3, 3), bool)
    markers, _ = ndimage.label(seeds & mask, structure)
    return markers.astype(np.int32)


def flood_with_dams_by_a_heap(height, markers, mask, connectivity):
    """Meyer's algorithm as MorphoLibJ orders it, one pixel at a time."""
    labels = np.where(mask, markers, 0)
    seen = (labels > 0) | ~mask
    queue = []
    clock = itertools.count()

    def neighbors(y, x):
        for right, down in NEIGHBORS[connectivity]:
            if 0 <= y + down < mask.shape[0] and 0 <= x + right < mask.shape[1]:
                yield y + down, x + right

    def enqueue(pixel):
        for neighbor in neighbors(*pixel):
            if not seen[neighbor]:
                seen[neighbor] = True
                heapq.heappush(queue, (-height[neighbor], next(clock), neighbor))

    for x, y in np.argwhere(labels.T):
        enqueue((y, x))
    while queue:
        *_, pixel = heapq.heappop(queue)
        around = {labels[neighbor] for neighbor in neighbors(*pixel)} - {0}
        if len(around) == 1:
            labels[pixel] = around.pop()
            enqueue(pixel)
    return labels


@settings(deadline=None, max_examples=100)
@given(heights, seeds, connectivities, st.sampled_from([1, 2]))
def test_dams_are_those_of_a_queue_by_height_and_time(height, seeds, connectivity, root):
    height = height * np.float32(np.sqrt(root))  # whole heights and others
    mask = height > 1
    markers = numbered(seeds, mask, connectivity)
    expected = flood_with_dams_by_a_heap(height, markers, mask, connectivity)
    found = flood_with_dams(height, markers, mask, connectivity)
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=100)
@given(st.permutations(range(120)), connectivities, arrays(bool, (10, 12)))
def test_where_no_heights_tie_basins_are_those_of_scikit_image(order, connectivity, mask):
    height = np.array(order, np.float32).reshape(10, 12)
    links = 1 if connectivity == 4 else 2
    maxima = local_maxima(np.where(mask, height, -1), connectivity=links) & mask
    markers = numbered(maxima & (height > 60), mask, connectivity)
    if markers.any():
        expected = watershed(-height, markers, links, mask=mask)
        np.testing.assert_array_equal(flood(height, markers, mask, connectivity), expected)


@settings(max_examples=20, deadline=None)
@given(height=heights, seeds=seeds, connectivity=connectivities)
def test_floods_fill_connected_regions_and_dams_separate_all_basins(height, seeds, connectivity):
    mask = height > 2
    structure = CROSS if connectivity == 4 else np.ones((3, 3), bool)
    markers, count = ndimage.label(seeds & mask, structure)
    markers = markers.astype(np.int32)
    regions, _ = ndimage.label(mask, structure)
    reachable = np.isin(regions, regions[markers > 0]) & mask
    whole = flood(height, markers, mask, connectivity)
    np.testing.assert_array_equal(whole > 0, reachable)
    parted = flood_with_dams(height, markers, mask, connectivity)
    for label in range(1, count + 1):
        grown = ndimage.binary_dilation(parted == label, structure)
        assert set(np.unique(parted[grown])) <= {0, label}
        assert ndimage.label(whole == label, structure)[1] == 1
        assert ndimage.label(parted == label, structure)[1] == 1


def test_discs_are_separated_where_their_circles_cross():
    rng = np.random.default_rng(5)
    for _ in range(10):
        angle = rng.uniform(0, np.pi)
        radius = rng.uniform(15, 25, 2)
        first = 60 + rng.uniform(-1, 1, 2)
        second = first + radius.sum() * 0.8 * np.array([np.cos(angle), np.sin(angle)])
        mask = disc((130, 130), *first, 2 * radius[0]) | disc((130, 130), *second, 2 * radius[1])
        distance = chamfer_distance(mask, CHAMFER_WEIGHTS["chessknight"])
        markers = extended_maxima(distance, 5.0, 4)
        basins = flood(distance, markers, mask, 4)
        # The line through the crossings has equal power to both circles.
        y, x = np.mgrid[:130, :130] + 0.5
        power = [
            (x - center[0]) ** 2 + (y - center[1]) ** 2 - r**2
            for center, r in zip((first, second), radius, strict=True)
        ]
        own = markers[int(first[1]), int(first[0])]
        assert markers.max() == 2
        assert ((basins == own) != (power[0] < power[1]))[mask].mean() < 0.03


def test_basins_of_equal_height_are_separated_in_the_middle():
    height = np.ones((3, 9), np.float32)
    markers = np.zeros((3, 9), np.int32)
    markers[:, 0], markers[:, -1] = 1, 2
    basins = flood_with_dams(height, markers, np.ones((3, 9), bool), 4)
    np.testing.assert_array_equal(basins, [[1, 1, 1, 1, 0, 2, 2, 2, 2]] * 3)
