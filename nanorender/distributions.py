"""Probability distributions as settings: how a size or a brightness varies."""

from abc import abstractmethod
from typing import Annotated, Literal, TypeVar

import numpy as np
from jaxtyping import Float
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)

from nanorender.settings import Settings

_UNBOUNDED = 1e30  # default bound, which no value reaches

AnyDistribution = TypeVar("AnyDistribution", bound="DistributionBase")

_SCALED = ("value", "low", "high", "mean", "sd", "median", "minimum", "maximum")


class DistributionBase(Settings):
    """Interface of all distributions."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Draw several values.

        Parameters
        ----------
        rng : random generator
        count : number of values

        Returns
        -------
        values : (count,) independent values
        """

    @abstractmethod
    def typical(self) -> float:
        """Return a typical value.

        Returns
        -------
        median : median; of a mixture, that of the component with the largest weight
        """

    @abstractmethod
    def lowest(self) -> float:
        """Return a lower bound of the values.

        Returns
        -------
        bound : lower bound, which the values need not reach
        """

    @abstractmethod
    def widened(self, factor: float) -> "DistributionBase":
        """Return the distribution with the same typical value and `factor` times the spread.

        The spread of a log-normal distribution is that of the logarithm. Bounds of positive
        quantities widen as ratios, and never narrow.

        Parameters
        ----------
        factor : factor on the spread, at least 0

        Returns
        -------
        widened : distribution of the same kind
        """

    def scaled(self: AnyDistribution, factor: float) -> AnyDistribution:
        """Return the distribution of `factor` times the quantity.

        Parameters
        ----------
        factor : positive factor

        Returns
        -------
        scaled : distribution of the same kind

        Examples
        --------
        >>> Uniform(low=1, high=3).scaled(2.0)
        Uniform(kind='uniform', low=2.0, high=6.0)
        """
        return self.model_copy(update={k: v * factor for k, v in self if k in _SCALED})

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a single value.

        Parameters
        ----------
        rng : random generator

        Returns
        -------
        value : value drawn from the distribution

        Examples
        --------
        >>> 1.0 <= Uniform(low=1, high=3).draw(np.random.default_rng(0)) <= 3.0
        True
        """
        return float(self.sample(rng, 1)[0])


class Constant(DistributionBase):
    """A fixed value; a bare number in a recipe is read as a constant."""

    kind: Literal["constant"] = "constant"
    """Selects this distribution."""
    value: float
    """The value."""

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Return the value `count` times; draws nothing from `rng`."""
        return np.full(count, self.value)

    def typical(self) -> float:
        """Return the value."""
        return self.value

    def lowest(self) -> float:
        """Return the value."""
        return self.value

    def widened(self, factor: float) -> "Constant":
        """Return the constant, which has no spread."""
        return self


class Uniform(DistributionBase):
    """All values from `low` to `high` with equal probability."""

    kind: Literal["uniform"] = "uniform"
    """Selects this distribution."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""

    @model_validator(mode="after")
    def _ordered(self) -> "Uniform":
        if self.low > self.high:
            raise ValueError(f"low (={self.low}) must not exceed high (={self.high})")
        return self

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Draw `count` values."""
        return rng.uniform(self.low, self.high, count)

    def typical(self) -> float:
        """Return the median."""
        return (self.low + self.high) / 2

    def lowest(self) -> float:
        """Return the lower bound."""
        return self.low

    def widened(self, factor: float) -> "Uniform":
        """Return the distribution with `factor` times the width; positive values remain so."""
        middle, half = self.typical(), factor * (self.high - self.low) / 2
        low = max(middle - half, 0.0) if middle > 0 else middle - half
        return self.model_copy(update={"low": low, "high": middle + half})


class Normal(DistributionBase):
    """Normal distribution, clipped to bounds."""

    kind: Literal["normal"] = "normal"
    """Selects this distribution."""
    mean: float
    """Mean before clipping."""
    sd: NonNegativeFloat
    """Standard deviation before clipping."""
    minimum: float = -_UNBOUNDED
    """Smaller values are set to this one."""
    maximum: float = _UNBOUNDED
    """Larger values are set to this one."""

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Draw `count` values."""
        return np.clip(rng.normal(self.mean, self.sd, count), self.minimum, self.maximum)

    def typical(self) -> float:
        """Return the median."""
        return float(np.clip(self.mean, self.minimum, self.maximum))

    def lowest(self) -> float:
        """Return the lower bound."""
        return self.minimum if self.sd else self.typical()

    def widened(self, factor: float) -> "Normal":
        """Return the distribution with `factor` times the standard deviation."""
        return self.model_copy(update={"sd": self.sd * factor} | _widened_bounds(self, factor))


class LogNormal(DistributionBase):
    """Log-normal distribution, clipped to bounds."""

    kind: Literal["lognormal"] = "lognormal"
    """Selects this distribution."""
    median: PositiveFloat
    """Median before clipping."""
    gsd: Annotated[float, Field(ge=1)]
    """Geometric standard deviation before clipping."""
    minimum: NonNegativeFloat = 0.0
    """Smaller values are set to this one."""
    maximum: PositiveFloat = _UNBOUNDED
    """Larger values are set to this one."""

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Draw `count` values."""
        values = self.median * np.exp(rng.normal(0.0, np.log(self.gsd), count))
        return np.clip(values, self.minimum, self.maximum)

    def typical(self) -> float:
        """Return the median."""
        return float(np.clip(self.median, self.minimum, self.maximum))

    def lowest(self) -> float:
        """Return the lower bound."""
        return self.minimum

    def widened(self, factor: float) -> "LogNormal":
        """Return the distribution with the geometric standard deviation to the power `factor`."""
        return self.model_copy(update={"gsd": self.gsd**factor} | _widened_bounds(self, factor))


class Mixture(DistributionBase):
    """Several distributions, each chosen with its weight, for example for bimodal sizes."""

    kind: Literal["mixture"] = "mixture"
    """Selects this distribution."""
    components: Annotated[tuple["Distribution", ...], Field(min_length=1)]
    """The distributions."""
    weights: tuple[PositiveFloat, ...]
    """Relative probability of each component; need not add up to 1."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> "Mixture":
        if len(self.weights) != len(self.components):
            raise ValueError(
                f"{len(self.weights)} weights for {len(self.components)} components; "
                "give one weight for each component"
            )
        return self

    def sample(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "n"]:
        """Draw `count` values."""
        weights = np.array(self.weights) / sum(self.weights)
        chosen = rng.choice(len(weights), size=count, p=weights)
        drawn = np.stack([component.sample(rng, count) for component in self.components])
        return drawn[chosen, np.arange(count)]

    def typical(self) -> float:
        """Return the median of the component with the largest weight."""
        return self.components[int(np.argmax(self.weights))].typical()

    def lowest(self) -> float:
        """Return the lower bound of all components."""
        return min(component.lowest() for component in self.components)

    def scaled(self, factor: float) -> "Mixture":
        """Return the mixture of the scaled components."""
        parts = tuple(component.scaled(factor) for component in self.components)
        return self.model_copy(update={"components": parts})

    def widened(self, factor: float) -> "Mixture":
        """Return the mixture of the widened components."""
        parts = tuple(component.widened(factor) for component in self.components)
        return self.model_copy(update={"components": parts})


def _widened_bounds(distribution: Normal | LogNormal, factor: float) -> dict[str, float]:
    """Return the widened bounds of a positive quantity; ratios to the median never shrink."""
    middle = distribution.typical()
    return {
        bound: middle * (value / middle) ** max(factor, 1.0)
        for bound in ("minimum", "maximum")
        if 0 < (value := getattr(distribution, bound)) < _UNBOUNDED / 10 and middle > 0
    }


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


def _positive(value: DistributionBase) -> DistributionBase:
    if value.lowest() < 0 or value.typical() <= 0:
        raise ValueError(f"must be positive, but the distribution reaches {value.lowest():g}")
    return value


PositiveDistribution = Annotated[Distribution, AfterValidator(_positive)]


def _not_negative(value: DistributionBase) -> DistributionBase:
    if value.lowest() < 0:
        raise ValueError(f"must not be negative, but the distribution reaches {value.lowest():g}")
    return value


NonNegativeDistribution = Annotated[Distribution, AfterValidator(_not_negative)]
