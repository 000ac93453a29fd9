"""Search: parameters of a recipe that make the loss small, without derivatives.

Covariance matrix adaptation (Hansen & Ostermeier 2001, Evolutionary Computation 9, 159) learns
which parameters trade against each other. Every candidate is rendered from the same seeds (common
random numbers), so that differences of the loss are differences of the parameters.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.calibration.parameters import Parameter
from nanorender.recipe import Recipe

FIRST_STEP = 0.6
"""Of the parameters' own steps: the direct estimates have come close already."""

TRUST = 0.002
"""Loss of a candidate whose parameters are all a step from the start: what the images do not decide
stays as the recipe has it."""

OUTSIDE_PENALTY = 1.0
"""Loss of a candidate a step outside the bounds; it is rendered at the bound."""


class Found(NamedTuple):
    """The end of a search: the recipe, its loss, and how many candidates were rendered."""

    recipe: Recipe
    loss: float
    evaluations: int


def search(
    recipe: Recipe,
    parameters: Sequence[Parameter],
    loss: Callable[[Recipe], float],
    evaluations: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Found:
    """Return the best recipe found with a number of evaluations of the loss, or the given one."""
    import cma

    free = [p for p in parameters if p.read(recipe) is not None]
    start = np.array([p.coordinate(p.read(recipe) or 0.0) for p in free])
    steps = np.array([p.step for p in free])
    first = loss(recipe)
    best = Found(recipe, first, 1)
    if not free or evaluations < 2:
        return best
    rng = np.random.default_rng([seed, len(free)])
    strategy = cma.CMAEvolutionStrategy(
        start,
        FIRST_STEP,
        {
            "CMA_stds": steps,
            "verbose": -9,
            "randn": lambda *shape: rng.standard_normal(shape),
            "seed": np.nan,
            "maxfevals": evaluations,
        },
    )
    done = 1
    while done < evaluations and not strategy.stop():
        candidates = strategy.ask()
        losses = []
        for candidate in candidates:
            changed = applied(recipe, free, candidate)
            value = loss(changed) + OUTSIDE_PENALTY * _outside(free, candidate)
            value += TRUST * float(np.mean(((candidate - start) / steps) ** 2))
            losses.append(value)
            done += 1
            if value < best.loss:
                best = Found(changed, value, done)
            on_progress(min(done, evaluations))
        strategy.tell(candidates, losses)
    # The mean of the last generation is less fitted to the seeds than the best candidate.
    middle = applied(recipe, free, strategy.result.xfavorite)
    value = loss(middle)
    if value <= best.loss + 0.2 * (first - best.loss):
        best = Found(middle, value, done)
    return best._replace(evaluations=done)


def applied(
    recipe: Recipe, parameters: Sequence[Parameter], coordinates: Float[np.ndarray, "n"]
) -> Recipe:
    """Return the recipe with parameters at coordinates of the search, within their bounds."""
    for parameter, coordinate in zip(parameters, coordinates, strict=True):
        recipe = parameter.write(recipe, parameter.value(float(coordinate)))
    return recipe


def _outside(parameters: Sequence[Parameter], coordinates: Float[np.ndarray, "n"]) -> float:
    """Return the sum of squared distances from the bounds, in steps."""
    total = 0.0
    for parameter, coordinate in zip(parameters, coordinates, strict=True):
        inside = parameter.coordinate(parameter.value(float(coordinate)))
        total += ((float(coordinate) - inside) / parameter.step) ** 2
    return total
