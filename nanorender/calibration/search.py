"""Search: parameters of a recipe that make the loss small, without derivatives of the renderer.

What few views show depends on their scenes as much as on the parameters, so that the best of many
candidates is the best for their scenes. A response surface (Box & Wilson 1951, J. Royal Statistical
Society B 13, 1) is not: every parameter is changed up and down, each on scenes of its own, both
changes on the same ones (common random numbers). Their differences are the slopes of a linear model
of what images show; all scenes together are its middle. Covariance matrix adaptation (Hansen &
Ostermeier 2001, Evolutionary Computation 9, 159) makes the loss of the model small within a trust
region, and the next model is of the recipe that it found, on the same scenes. Losses may rise a
little on the way (Toint 1996, SIAM J. Scientific Computing 17, 725), as particles that come to lie
elsewhere change them by chance; where they rise more, the way is tried again with half the steps.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.calibration.likeness import Reference
from nanorender.calibration.parameters import Parameter
from nanorender.calibration.views import Shown, pooled
from nanorender.recipe import Recipe

CHANGE, LEAP = 0.6, 1.5
"""Of each parameter's own step, up and down: of most, and of those with which scenes leap."""

LEAP_SCENES = 2
"""Sets of views on which the latter are changed, so that their slopes are not those of chance."""

REACH = 1.0
"""Steps that a parameter is moved by the first model, at most."""

TOLERATED = 1.2
"""Of the least loss: what a recipe may have for the search to go on from it."""

TRUST = 0.002
"""Loss of moving all parameters by a step: what the images do not decide stays as it is."""

MODEL_EVALUATIONS = 6000
"""Moves whose loss is taken from a model, which renders nothing."""

Look = Callable[[Recipe, int], tuple[Shown, ...]]
"""What the views of a number show of a recipe, at one or several scales."""


class Found(NamedTuple):
    """The end of a search: the recipe, and how many candidates were rendered."""

    recipe: Recipe
    evaluations: int


class Response(NamedTuple):
    """A linear model of what a recipe's views show at one scale, over changes in steps.

    middle: of the recipe itself
    slopes: of a step of each parameter
    """

    middle: Float[np.ndarray, "coordinates"]
    slopes: Float[np.ndarray, "coordinates parameters"]


def search(
    recipe: Recipe,
    parameters: Sequence[Parameter],
    look: Look,
    references: Sequence[Reference],
    evaluations: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Found:
    """Return the best recipe found with a number of evaluations at most, or the given one.

    look: renders views; each evaluation calls it once
    references: what the views of each scale are held against
    """
    free = [p for p in parameters if p.read(recipe) is not None]
    # The first parameters, where evaluations do not suffice for two models of all.
    while free and evaluations < 2 * _evaluations(free):
        free.pop()
    if not free:
        return Found(recipe, 0)
    done = 0

    def counted(candidate: Recipe, number: int) -> tuple[Shown, ...]:
        nonlocal done
        shown = look(candidate, number)
        done += 1
        on_progress(done)
        return shown

    center, responses, reach = recipe, _responses(recipe, free, counted), REACH
    least = _loss((response.middle for response in responses), references)
    for turn in range(1, evaluations // _evaluations(free)):
        moved = _moved(center, free, responses, references, reach, seed + turn)
        after = _responses(moved, free, counted)
        loss = _loss((response.middle for response in after), references)
        if loss < TOLERATED * least:
            center, responses = moved, after
        else:
            reach /= 2
        if loss < least:
            recipe, least = moved, loss
    return Found(recipe, done)


def _scenes(parameter: Parameter) -> int:
    return LEAP_SCENES if parameter.leaps else 1


def _evaluations(parameters: Sequence[Parameter]) -> int:
    """Return how many evaluations a model of parameters takes."""
    return 2 * sum(map(_scenes, parameters))


def _responses(recipe: Recipe, parameters: Sequence[Parameter], look: Look) -> list[Response]:
    """Return the model of each scale, each parameter's slopes from views of its own numbers."""
    numbers, looks, slopes = itertools.count(), [], []
    for parameter in parameters:
        change = (LEAP if parameter.leaps else CHANGE) * parameter.step
        ends = [_coordinate(parameter, recipe) + sign * change for sign in (1, -1)]
        up, down = (parameter.coordinate(parameter.value(end)) for end in ends)
        own = list(itertools.islice(numbers, _scenes(parameter)))
        both = [
            [look(parameter.write(recipe, parameter.value(end)), number) for number in own]
            for end in (up, down)
        ]
        apart = max((up - down) / parameter.step, 1e-6)
        slopes.append(
            [
                np.nan_to_num(more.coordinates - less.coordinates) / apart
                for more, less in zip(*map(_pooled, both), strict=True)
            ]
        )
        looks += both[0] + both[1]
    return [
        Response(middle.coordinates, np.stack(columns, axis=1))
        for middle, columns in zip(_pooled(looks), zip(*slopes, strict=True), strict=True)
    ]


def _moved(
    recipe: Recipe,
    parameters: Sequence[Parameter],
    responses: Sequence[Response],
    references: Sequence[Reference],
    reach: float,
    seed: int,
) -> Recipe:
    """Return the recipe moved to where the models have the least loss, within reach."""
    import cma

    at = np.array([_coordinate(p, recipe) for p in parameters])
    step = np.array([p.step for p in parameters])
    bounds = np.array([(p.coordinate(p.low), p.coordinate(p.high)) for p in parameters])
    low, high = np.clip((bounds.T - at) / step, -reach, reach)

    def loss(moves: Float[np.ndarray, "parameters"]) -> float:
        inside = np.clip(moves, low, high)
        shown = (response.middle + response.slopes @ inside for response in responses)
        far = TRUST * np.mean(inside**2) + np.sum((moves - inside) ** 2)
        return _loss(shown, references) + float(far)

    rng = np.random.default_rng([seed, len(parameters)])
    options = {
        "verbose": -9,
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,
        "maxfevals": MODEL_EVALUATIONS,
    }
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(parameters)), reach / 3, options)
    while not strategy.stop():
        moves = strategy.ask()
        strategy.tell(moves, [loss(np.asarray(move)) for move in moves])
    best = np.clip(strategy.result.xfavorite, low, high)
    for parameter, coordinate in zip(parameters, at + best * step, strict=True):
        recipe = parameter.write(recipe, parameter.value(float(coordinate)))
    return recipe


def _coordinate(parameter: Parameter, recipe: Recipe) -> float:
    return parameter.coordinate(parameter.read(recipe) or 0.0)


def _pooled(looks: Iterable[tuple[Shown, ...]]) -> list[Shown]:
    """Return what several looks show together at each scale."""
    return [pooled(sets) for sets in zip(*looks, strict=True)]


def _loss(
    shown: Iterable[Float[np.ndarray, "coordinates"]], references: Sequence[Reference]
) -> float:
    """Return the mean loss over scales."""
    scales = zip(shown, references, strict=True)
    return float(np.mean([reference.terms(one).loss() for one, reference in scales]))
