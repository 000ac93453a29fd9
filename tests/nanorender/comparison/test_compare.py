import weakref

import numpy as np
import pytest
from pictures import noisy_discs

from nanorender.calibration.views import tiles
from nanorender.comparison import compare
from nanorender.comparison.compare import compare_images, comparison_lines, write_worst_patches
from nanorender.errors import InputError
from nanorender.files.ondemand import ReadOnDemand


def test_images_of_one_kind_are_indistinguishable():
    found = compare_images(noisy_discs(3, 4.0, 0), noisy_discs(3, 4.0, 50), False)
    # 96 patches: guessing is right in 0.5 ± 0.15 of them, three standard errors.
    assert found.accuracy == pytest.approx(0.5, abs=0.15)
    assert found.terms.loss() < 0.02


def test_noisier_images_are_distinguished():
    found = compare_images(noisy_discs(3, 3.0, 0), noisy_discs(3, 6.0, 50), False)
    assert found.accuracy > 0.97
    assert found.terms.loss() > 0.05


def test_one_image_of_each_kind_is_judged_by_halves():
    found = compare_images(noisy_discs(1, 4.0, 0), noisy_discs(1, 4.0, 9), False)
    assert len(found.patches) == 32
    assert np.isfinite(found.probability).all()


def test_the_text_names_every_term_and_explains_the_accuracy():
    text = "\n".join(
        comparison_lines(compare_images(noisy_discs(2, 4.0, 0), noisy_discs(2, 4.0, 9), False))
    )
    for name in (
        "gray",
        "spectrum",
        "runs",
        "particles",
        "loss",
        "0.5 means the sets are indistinguishable",
    ):
        assert name in text


def test_the_worst_patches_are_drawn(tmp_path):
    write_worst_patches(
        compare_images(noisy_discs(2, 3.0, 0), noisy_discs(2, 6.0, 9), False),
        tmp_path / "worst.png",
    )
    assert (tmp_path / "worst.png").read_bytes().startswith(b"\x89PNG")


def test_small_images_are_refused():
    small = [image[:200, :200] for image in noisy_discs(1, 3.0, 0)]
    with pytest.raises(InputError, match="200 rows or columns; comparing needs at least 256"):
        compare_images(small, noisy_discs(1, 3.0, 1), False)


def watched(images):
    """Images on demand, and the number of them in memory after each was read."""
    alive, counts = weakref.WeakValueDictionary(), []

    def read(image):
        copy = image.copy()
        alive[id(copy)] = copy
        counts.append(len(alive))
        return copy

    return ReadOnDemand(images, read), counts


def test_images_on_demand_give_the_same_numbers_with_few_in_memory(monkeypatch):
    monkeypatch.setattr(compare, "_WAITING_VIEWS", 2)
    real, synthetic = noisy_discs(7, 3.0, 0), noisy_discs(8, 4.0, 50)
    expected = compare_images(real, synthetic, False)
    (theirs, counts), (ours, other_counts) = watched(real), watched(synthetic)
    found = compare_images(theirs, ours, False)
    assert found.terms == expected.terms
    assert found.accuracy == expected.accuracy
    np.testing.assert_array_equal(found.probability, expected.probability)
    np.testing.assert_array_equal(found.patches, expected.patches)
    assert max(counts + other_counts) <= 4


@pytest.mark.parametrize("count", [1, 3])
def test_patches_are_spread_evenly_over_all_tiles(count):
    real = [image[:300, :420] for image in noisy_discs(count, 3.0, 0)]
    found = compare_images(real, noisy_discs(4, 3.0, 9), False)
    halves = [image[:, part] for image in real for part in (slice(210), slice(210, None))]
    parts = real if count > 1 else halves
    every = [tile for part in parts for tile in tiles(part, 128)]
    patches = [p for p, kind in zip(found.patches, found.synthetic, strict=True) if kind == 0]
    chosen = np.linspace(0, len(every) - 1, len(patches)).round().astype(int)
    np.testing.assert_array_equal(patches, [every[k] for k in chosen])


def test_an_image_that_changes_while_it_is_compared_is_refused():
    images = noisy_discs(2, 3.0, 0)
    reads = []

    def read(image):
        reads.append(0)
        return image if len(reads) < 6 else image[:400]

    with pytest.raises(InputError, match="an image has changed while it was compared"):
        compare_images(ReadOnDemand(images, read), noisy_discs(2, 3.0, 9), False)
