"""Corrections, in turns, until synthetic views give the direct estimates that real ones do."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nanorender.calibration.coverage import coverage, expected_coverage
from nanorender.calibration.estimate import Estimates
from nanorender.calibration.match import (
    match_coverage,
    match_detector,
    match_levels,
    match_shading,
    match_sizes,
    match_texture,
)
from nanorender.calibration.views import Target, Tone, drawing_of, look
from nanorender.recipe import Recipe

CLOSE_VIEWS = 4
WHOLE_TURNS = 3  # corrections of the detector before they are averaged


def matched(
    recipe: Recipe,
    aims: Sequence[Target],
    tones: Sequence[Tone],
    turns: int,
    views: int,
    seed: int,
    on_turn: Callable[[int], None] = lambda done: None,
) -> Recipe:
    """Return the recipe after corrections of all direct estimates, on the same views.

    aims: of wide views, and of close ones where these differ
    views: of a wide look, at least; as many of each tone
    """
    base, count = recipe, _of_each(tones, views)
    for turn in range(turns):
        found = _estimated(recipe, aims, tones, count, seed)
        if found is not None:
            recipe = match_sizes(recipe, found.real, found.synthetic, base)
            recipe = match_levels(recipe, *found.wide)
            recipe = match_shading(recipe, *found.wide)
            recipe = match_texture(recipe, *found.close)
            recipe = match_detector(recipe, *found.close)
        on_turn(turn + 1)
    return with_coverage(recipe, aims[0], tones, views, seed)


def with_detector(
    recipe: Recipe,
    close: Target,
    tones: Sequence[Tone],
    turns: int,
    seed: int,
    on_turn: Callable[[int], None] = lambda done: None,
) -> Recipe:
    """Return the recipe after corrections of its detector, each on views of its own.

    The first ones come near. Each of the others is one part in as many as there were since, so that
    together they average over their views (Robbins & Monro 1951, Ann. Math. Stat. 22, 400).
    """
    for turn in range(turns):
        found = _estimated(recipe, [close], tones, _of_each(tones, CLOSE_VIEWS), seed + turn)
        if found is not None:
            recipe = match_detector(recipe, *found.close, 1 / max(1, turn - WHOLE_TURNS + 2))
        on_turn(turn + 1)
    return recipe


class Estimated(NamedTuple):
    """Estimates of real and of synthetic views, wide and close; over both for sizes."""

    wide: tuple[Estimates, Estimates]
    close: tuple[Estimates, Estimates]

    @property
    def real(self) -> Estimates:
        """Return the estimates of real views, over both scales."""
        return _over_scales(self.wide[0], self.close[0])

    @property
    def synthetic(self) -> Estimates:
        """Return the estimates of synthetic views, over both scales."""
        return _over_scales(self.wide[1], self.close[1])


def _over_scales(wide: Estimates, close: Estimates) -> Estimates:
    """Return wide estimates with sizes as either scale has them: small particles are seen closely.

    What is in px is longer in close views by a constant, which the difference of both sets does not
    have.
    """
    return wide._replace(
        log_diameter=(wide.log_diameter + close.log_diameter) / 2,
        log_diameter_spread=(wide.log_diameter_spread + close.log_diameter_spread) / 2,
        members=math.sqrt(wide.members * close.members),
    )


def _estimated(
    recipe: Recipe, aims: Sequence[Target], tones: Sequence[Tone], count: int, seed: int
) -> Estimated | None:
    """Return estimates of synthetic views, None where they show no particles."""
    sights = [
        (aim, drawing_of(recipe, aim, tones, views, seed))
        for aim, views in zip(aims, (count, CLOSE_VIEWS), strict=False)
    ]
    pairs = []
    for aim, found in zip(aims, look(recipe, sights), strict=True):
        if found.estimates is None:
            return None
        pairs.append((aim.real.estimates, found.estimates))
    return Estimated(pairs[0], pairs[-1])


def _of_each(tones: Sequence[Tone], views: int) -> int:
    """Return a number of views, at least so many, of which as many have each tone."""
    return len(tones) * -(-views // len(tones))


def with_coverage(
    recipe: Recipe, wide: Target, tones: Sequence[Tone], views: int, seed: int
) -> Recipe:
    """Return the recipe with as many particles as cover what the micrographs show."""
    drawing = drawing_of(recipe, wide, tones, _of_each(tones, views), seed)
    synthetic = look(recipe, [(wide, drawing)])[0].estimates
    if synthetic is None:
        return recipe
    # What the segmentation misses or adds, it does so on both.
    share = coverage(recipe, wide, drawing) * wide.real.estimates.coverage / synthetic.coverage
    expected = expected_coverage(recipe, wide.pixel_size_nm, wide.scale, drawing.seed)
    return match_coverage(recipe, share, expected)
