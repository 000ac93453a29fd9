"""Response-surface search for recipe settings of low loss, without derivatives of the renderer.

What few views show depends on their scenes as much as on the parameters, so the best of many
candidates is merely the best for its scenes. A response surface (Box & Wilson 1951, J. Royal
Statistical Society B 13, 1) avoids this: every parameter is changed up and down on separate scenes,
the same for both changes (common random numbers). The differences are the slopes of a linear model
of the observed features; the mean over all scenes is its center. Covariance matrix adaptation
(Hansen & Ostermeier 2001, Evolutionary Computation 9, 159) minimizes the loss of the model within a
trust region, and the next model is built around the result, on the same scenes. The loss may rise
slightly on the way (Toint 1996, SIAM J. Scientific Computing 17, 725), as rearranged particles
change it at random; where it rises more, the step is repeated with half the trust region.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nanorender.calibration.observation import Observation, pool_observations
from nanorender.calibration.parameters import Parameter
from nanorender.recipe import Recipe

CHANGE, REARRANGING_CHANGE = 0.6, 1.5
"""Changes up and down, in steps of the parameter; larger for those that rearrange particles."""

REARRANGING_SCENES = 2
"""Number of scenes for parameters that rearrange particles, to average out random differences."""

_REACH = 1.0  # radius of the first trust region, in steps
_TOLERATED = 1.2  # largest accepted loss, relative to the lowest so far
_REGULARIZATION = 0.002  # loss of moving all parameters by a step: keeps what images do not show
_MODEL_EVALUATIONS = 6000  # of the model, which renders nothing

Observe = Callable[[Recipe, int], list[Observation]]
"""Observe views of a recipe at one or several scales; the number selects their scenes."""


class SearchResult(NamedTuple):
    """Result of a search.

    Attributes
    ----------
    recipe : the best one found
    evaluations : number of recipes that were rendered
    """

    recipe: Recipe
    evaluations: int


class _Response(NamedTuple):
    """Linear model of the features at one scale, over parameter changes in steps."""

    center: Float[np.ndarray, "features"]
    slopes: Float[np.ndarray, "features parameters"]


def search_settings(
    recipe: Recipe,
    parameters: Sequence[Parameter],
    observe: Observe,
    references: Sequence[Observation],
    evaluations: int,
    seed: int,
    on_evaluation: Callable[[], None] = lambda: None,
) -> SearchResult:
    """Search for the settings of a recipe with the lowest loss.

    Parameters
    ----------
    recipe : to start from
    parameters : to change; only the first ones where evaluations do not suffice for two models
    observe : renders and observes a recipe; called once per evaluation
    references : real views at each scale
    evaluations : maximum number of calls of `observe`
    seed : of the minimization of each model
    on_evaluation : called after each evaluation

    Returns
    -------
    Best recipe found, or the given one.

    Examples
    --------
    >>> from nanorender.recipe import read_recipe
    >>> recipe = read_recipe("ag")
    >>> search_settings(recipe, [], lambda *_: [], [], evaluations=80, seed=0).evaluations
    0
    """
    free = [p for p in parameters if p.read(recipe) is not None]
    while free and evaluations < 2 * _evaluations(free):
        free.pop()
    if not free:
        return SearchResult(recipe, 0)

    def counted(candidate: Recipe, number: int) -> list[Observation]:
        observed = observe(candidate, number)
        on_evaluation()
        return observed

    # Build a model of the given recipe.
    models = evaluations // _evaluations(free)
    center, responses, reach = recipe, _responses(recipe, free, counted), _REACH
    least = _mean_loss((response.center for response in responses), references)
    for turn in range(1, models):
        # Minimize the model and build one of the result.
        moved = _minimize(center, free, responses, references, reach, seed + turn)
        after = _responses(moved, free, counted)
        loss = _mean_loss((response.center for response in after), references)
        # Accept the step, or repeat it with a smaller trust region.
        if loss < _TOLERATED * least:
            center, responses = moved, after
        else:
            reach /= 2
        if loss < least:
            recipe, least = moved, loss
    return SearchResult(recipe, models * _evaluations(free))


def _scenes(parameter: Parameter) -> int:
    return REARRANGING_SCENES if parameter.rearranges else 1


def _evaluations(parameters: Sequence[Parameter]) -> int:
    """Return the number of evaluations for one model."""
    return 2 * sum(map(_scenes, parameters))


def _responses(
    recipe: Recipe, parameters: Sequence[Parameter], observe: Observe
) -> list[_Response]:
    """Build the model at each scale, the slopes of each parameter from separate scenes."""
    numbers, observed, slopes = itertools.count(), [], []
    for parameter in parameters:
        # Observe the recipe with the parameter changed up and down, on the same scenes.
        change = (REARRANGING_CHANGE if parameter.rearranges else CHANGE) * parameter.step
        center = parameter.coordinate(parameter.read(recipe) or 0.0)
        ends = [parameter.value(center + sign * change) for sign in (1, -1)]
        ends = [parameter.coordinate(value) for value in ends]
        own = list(itertools.islice(numbers, _scenes(parameter)))
        up, down = (
            [observe(parameter.write(recipe, parameter.value(end)), number) for number in own]
            for end in ends
        )
        # Divide the differences by the change within the parameter's bounds.
        steps = max((ends[0] - ends[1]) / parameter.step, 1e-6)
        slopes.append(
            [
                np.nan_to_num(more.features - less.features) / steps
                for more, less in zip(_pool_scales(up), _pool_scales(down), strict=True)
            ]
        )
        observed += up + down
    return [
        _Response(center.features, np.stack(columns, axis=1))
        for center, columns in zip(_pool_scales(observed), zip(*slopes, strict=True), strict=True)
    ]


def _minimize(
    recipe: Recipe,
    parameters: Sequence[Parameter],
    responses: Sequence[_Response],
    references: Sequence[Observation],
    reach: float,
    seed: int,
) -> Recipe:
    """Move the recipe to where the models have the lowest loss, within the trust region."""
    import cma

    center = np.array([p.coordinate(p.read(recipe) or 0.0) for p in parameters])
    step = np.array([p.step for p in parameters])
    bounds = np.array([(p.coordinate(p.low), p.coordinate(p.high)) for p in parameters])
    low, high = np.clip((bounds.T - center) / step, -reach, reach)

    def loss(moves: Float[np.ndarray, "parameters"]) -> float:
        inside = np.clip(moves, low, high)
        features = (response.center + response.slopes @ inside for response in responses)
        penalty = _REGULARIZATION * np.mean(inside**2) + np.sum((moves - inside) ** 2)
        return _mean_loss(features, references) + float(penalty)

    rng = np.random.default_rng([seed, len(parameters)])
    options = {
        "verbose": -9,
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,
        "maxfevals": _MODEL_EVALUATIONS,
    }
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(parameters)), reach / 3, options)
    while not strategy.stop():
        moves = strategy.ask()
        strategy.tell(moves, [loss(np.asarray(move)) for move in moves])
    best = np.clip(strategy.result.xfavorite, low, high)
    for parameter, coordinate in zip(parameters, center + best * step, strict=True):
        recipe = parameter.write(recipe, parameter.value(float(coordinate)))
    return recipe


def _pool_scales(observed: Iterable[list[Observation]]) -> list[Observation]:
    """Pool several observations at each scale."""
    return [pool_observations(parts) for parts in zip(*observed, strict=True)]


def _mean_loss(
    features: Iterable[Float[np.ndarray, "features"]], references: Sequence[Observation]
) -> float:
    """Return the mean loss over scales."""
    scales = zip(features, references, strict=True)
    return float(np.mean([reference.loss_terms(one).loss() for one, reference in scales]))
