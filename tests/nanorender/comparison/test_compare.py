import numpy as np
import pytest
from pictures import noisy_discs

from nanorender.comparison.compare import compare_images, comparison_lines, write_worst_patches
from nanorender.errors import InputError


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
