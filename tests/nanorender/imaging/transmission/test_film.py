import numpy as np
import pytest

from nanorender.imaging.transmission.film import FilmSettings, film_presence


def test_a_continuous_film_is_everywhere():
    rng = np.random.default_rng(0)
    assert (film_presence(FilmSettings(), (20, 30), 1.0, rng) == np.ones((20, 30))).all()


@pytest.mark.parametrize("kind", ["holey", "lacey"])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_open_fraction_is_that_of_the_settings(kind, share):
    film = FilmSettings(kind=kind, open_fraction=share, hole_diameter_nm=30.0)
    found = [
        1 - film_presence(film, (600, 600), 1.0, np.random.default_rng(seed)).mean()
        for seed in range(4)
    ]
    assert np.mean(found) == pytest.approx(share, abs=0.05)


def test_holes_have_their_diameter():
    film = FilmSettings(kind="holey", open_fraction=0.02, hole_diameter_nm=80.0)
    from scipy.ndimage import label

    open_px = film_presence(film, (2000, 2000), 2.0, np.random.default_rng(3)) < 0.5
    pieces, count = label(open_px)
    area = np.bincount(pieces.ravel())[1:]
    assert count > 5
    assert np.median(np.sqrt(4 * area / np.pi)) == pytest.approx(40, rel=0.1)
