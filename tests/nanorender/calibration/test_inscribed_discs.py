import numpy as np
import pytest
from pictures import discs

from nanorender.calibration.inscribed_discs import inscribed_discs


@pytest.mark.parametrize("diameter_px", [16, 31, 60])
def test_discs_are_found_with_their_diameter(diameter_px):
    image = discs(diameter_px, spacing_px=100, edge_px=400).astype(np.float32)
    found = inscribed_discs(image).diameters_px
    assert len(found) == 16
    assert np.median(found) == pytest.approx(diameter_px, abs=2)


def test_an_image_without_contrast_has_no_discs():
    assert len(inscribed_discs(np.full((64, 64), 9, np.float32)).diameters_px) == 0
