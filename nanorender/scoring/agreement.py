"""How far a measured size distribution is from the true one."""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import wasserstein_distance


@dataclass(frozen=True)
class SizeAgreement:
    """Distance of two size distributions; not numbers where one of them is empty.

    Attributes
    ----------
    wasserstein: mean shift that makes one distribution the other (earth mover's distance), in the
        unit of the sizes
    kolmogorov_smirnov: greatest difference of the cumulative shares, 0 to 1
    median_ratio: measured over true median
    mean_ratio: measured over true mean
    """

    wasserstein: float
    kolmogorov_smirnov: float
    median_ratio: float
    mean_ratio: float

    def to_dict(self) -> dict[str, float]:
        """Return the distances by name."""
        return asdict(self)


def size_agreement(
    sizes: Float[np.ndarray, "n"], true_sizes: Float[np.ndarray, "m"]
) -> SizeAgreement:
    """Return the distances between measured and true sizes, both in the same unit."""
    if not len(sizes) or not len(true_sizes):
        return SizeAgreement(*[float("nan")] * 4)
    steps = np.union1d(sizes, true_sizes)
    shares = [
        np.searchsorted(np.sort(values), steps, side="right") / len(values)
        for values in (sizes, true_sizes)
    ]
    return SizeAgreement(
        wasserstein=float(wasserstein_distance(sizes, true_sizes)),
        kolmogorov_smirnov=float(np.abs(shares[0] - shares[1]).max()),
        median_ratio=float(np.median(sizes) / np.median(true_sizes)),
        mean_ratio=float(sizes.mean() / true_sizes.mean()),
    )
