import numpy as np
import pytest
from pictures import discs, noise

from nanorender.calibration.tones import tones_of, with_tones
from nanorender.recipe import read_recipe


def image(substrate, particle):
    return (discs(levels=(substrate, particle)) + noise((512, 512), 2.0, (0, 0))).astype(np.float32)


def test_tones_give_every_micrograph_its_levels_back():
    levels = [(40.0, 140.0), (50.0, 130.0), (36.0, 156.0)]
    tones = tones_of([image(*pair) for pair in levels], False)
    # All share one substrate and one contrast, up to what black and gain of each say.
    substrate = [(s - tone.black) / tone.gain for (s, _), tone in zip(levels, tones, strict=True)]
    contrast = [(p - s) / tone.gain for (s, p), tone in zip(levels, tones, strict=True)]
    assert substrate == pytest.approx([substrate[0]] * 3, abs=1)
    assert contrast == pytest.approx([100] * 3, abs=2)
    assert min(tone.black for tone in tones) == pytest.approx(0, abs=1e-9)


def test_one_micrograph_still_leaves_some_variation():
    recipe = with_tones(read_recipe("tio2"), tones_of([image(40, 140)], False))
    gain = recipe.detector.gain
    assert (gain.low, gain.high) == pytest.approx((0.95, 1.05))
    assert recipe.detector.black_level.typical() == 0
    assert recipe.detector.gamma.typical() == 1


def test_a_series_spreads_as_its_micrographs_do():
    tones = tones_of([image(40, 140), image(50, 150)], False)
    black = with_tones(read_recipe("tio2"), tones).detector.black_level
    values = np.array([tone.black for tone in tones]) / 255
    assert black.typical() == pytest.approx(values.mean(), rel=0.01)
    assert (black.low, black.high) == pytest.approx((values.min(), values.max()), abs=0.002)
