"""Random quantities as settings: a recipe says how a size or a brightness varies."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, model_validator

from nanorender.settings import Settings


class Constant(Settings):
    """Always the same value."""

    kind: Literal["constant"] = "constant"
    value: float

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Return `count` values."""
        return np.full(count, self.value)

    def typical(self) -> float:
        """Return the median."""
        return self.value

    def lowest(self) -> float:
        """Return the smallest value that can be drawn."""
        return self.value


class Uniform(Settings):
    """Every value from `low` to `high` equally likely."""

    kind: Literal["uniform"] = "uniform"
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> "Uniform":
        if self.low > self.high:
            raise ValueError(f"low (={self.low}) must not exceed high (={self.high})")
        return self

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Return `count` values."""
        return rng.uniform(self.low, self.high, count)

    def typical(self) -> float:
        """Return the median."""
        return (self.low + self.high) / 2

    def lowest(self) -> float:
        """Return the smallest value that can be drawn."""
        return self.low


class Normal(Settings):
    """Gaussian of a mean and a standard deviation, clipped to [minimum, maximum]."""

    kind: Literal["normal"] = "normal"
    mean: float
    sd: Annotated[float, Field(ge=0)]
    minimum: float = -1e30
    maximum: float = 1e30

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Return `count` values."""
        return np.clip(rng.normal(self.mean, self.sd, count), self.minimum, self.maximum)

    def typical(self) -> float:
        """Return the median."""
        return float(np.clip(self.mean, self.minimum, self.maximum))

    def lowest(self) -> float:
        """Return the smallest value that can be drawn."""
        return self.minimum if self.sd else self.typical()


class LogNormal(Settings):
    """Log-normal of a median and a geometric standard deviation, clipped to [minimum, maximum]."""

    kind: Literal["lognormal"] = "lognormal"
    median: Annotated[float, Field(gt=0)]
    gsd: Annotated[float, Field(ge=1)]
    minimum: Annotated[float, Field(ge=0)] = 0.0
    maximum: PositiveFloat = 1e30

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Return `count` values."""
        values = self.median * np.exp(rng.normal(0.0, np.log(self.gsd), count))
        return np.clip(values, self.minimum, self.maximum)

    def typical(self) -> float:
        """Return the median."""
        return float(np.clip(self.median, self.minimum, self.maximum))

    def lowest(self) -> float:
        """Return a bound that no value drawn is below."""
        return self.minimum


class Mixture(Settings):
    """Several distributions, each drawn from with its weight: bimodal sizes, for one."""

    kind: Literal["mixture"] = "mixture"
    components: Annotated[tuple["Distribution", ...], Field(min_length=1)]
    weights: tuple[PositiveFloat, ...]

    @model_validator(mode="after")
    def _one_weight_each(self) -> "Mixture":
        if len(self.weights) != len(self.components):
            raise ValueError(
                f"{len(self.weights)} weights for {len(self.components)} components; give one each"
            )
        return self

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Return `count` values."""
        weights = np.array(self.weights) / sum(self.weights)
        chosen = rng.choice(len(weights), size=count, p=weights)
        drawn = np.stack([component.sample(rng, count) for component in self.components])
        return drawn[chosen, np.arange(count)]

    def typical(self) -> float:
        """Return the median of the component with the largest weight."""
        return self.components[int(np.argmax(self.weights))].typical()

    def lowest(self) -> float:
        """Return a bound that no value drawn is below."""
        return min(component.lowest() for component in self.components)


def _number_is_constant(value: object) -> object:
    """Read a bare number, as in ``tilt_deg = 0``, as a constant."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"kind": "constant", "value": value}
    return value


Distribution = Annotated[
    Annotated[Constant | Uniform | Normal | LogNormal | Mixture, Field(discriminator="kind")],
    BeforeValidator(_number_is_constant),
]
Mixture.model_rebuild()


def _positive(value: Constant | Uniform | Normal | LogNormal | Mixture):
    if value.lowest() < 0 or value.typical() <= 0:
        raise ValueError(f"must be positive, but values down to {value.lowest():g} can be drawn")
    return value


PositiveDistribution = Annotated[Distribution, AfterValidator(_positive)]


def _not_negative(value: Constant | Uniform | Normal | LogNormal | Mixture):
    if value.lowest() < 0:
        raise ValueError(f"must be 0 or more, but values down to {value.lowest():g} can be drawn")
    return value


NonNegativeDistribution = Annotated[Distribution, AfterValidator(_not_negative)]


def scaled(distribution: Distribution, factor: float) -> Distribution:
    """Return the distribution of `factor` times a quantity; factor > 0."""
    if isinstance(distribution, Mixture):
        parts = tuple(scaled(component, factor) for component in distribution.components)
        return distribution.model_copy(update={"components": parts})
    lengths = ("value", "low", "high", "mean", "sd", "median", "minimum", "maximum")
    fields = {key: value * factor for key, value in distribution if key in lengths}
    return distribution.model_copy(update=fields)


def widened(distribution: Distribution, factor: float) -> Distribution:
    """Return the distribution with the same typical value and `factor` times the spread.

    On the logarithm for a log-normal one; of positive quantities the bounds widen as ratios do.
    """
    if isinstance(distribution, Mixture):
        parts = tuple(widened(component, factor) for component in distribution.components)
        return distribution.model_copy(update={"components": parts})
    middle = distribution.typical()
    if isinstance(distribution, Uniform):
        half = factor * (distribution.high - distribution.low) / 2
        return Uniform(
            low=max(middle - half, 0.0) if middle > 0 else middle - half, high=middle + half
        )
    if isinstance(distribution, Constant):
        return distribution
    update = {"gsd": distribution.gsd**factor} if isinstance(distribution, LogNormal) else {}
    if isinstance(distribution, Normal):
        update["sd"] = distribution.sd * factor
    for bound in ("minimum", "maximum"):
        value = getattr(distribution, bound)
        if 0 < value < 1e29 and middle > 0:
            update[bound] = middle * (value / middle) ** max(factor, 1.0)
    return distribution.model_copy(update=update)
