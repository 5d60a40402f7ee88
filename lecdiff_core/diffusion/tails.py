"""What residuals are beside normal, skewed and heavy-tailed, taken off before they are diffused and put back on afterwards.

The sinh-arcsinh distribution (Jones & Pewsey 2009, https://doi.org/10.1093/biomet/asp053): with z standard normal,

    x = scale · (sinh((arcsinh z + skew) / weight) - mean of that)

has a longer tail on the right for skew > 0, and heavier tails than a normal for weight < 1; the way back is as short. Its mean is
zero: the frame alone says where the middle lies, and a season that was too high is not carried on into the next. Three
numbers, fitted to residuals by maximum likelihood.
"""

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import erfinv
from torch import Tensor, nn

FARTHEST = 5.0  # of a standard normal, that samples are bounded at
MOST = 50_000  # residuals that the numbers are fitted to
LEAST = 100
BOUNDS = ((-7.0, 5.0), (-1.0, 1.0), (-1.2, 0.4))  # log scale, skew, log weight
NORMAL = np.sqrt(2.0) * erfinv(np.linspace(-1, 1, 2002)[1:-1])  # evenly probable values of a standard normal


class Tails(nn.Module):
    """The three numbers, `shape` (3,): log scale, skew, log weight; at first of a normal.

    >>> tails = Tails()
    >>> tails.fit(torch.randn(1000).exp() - 1.6, torch.ones(1000))
    >>> float(tails.shape[1]) > 0  # skewed to the right
    True
    """

    shape: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shape", torch.zeros(3))

    def to_normal(self, residual: Tensor) -> Tensor:
        """Residuals of any shape, as normal as they get; NaN stays."""
        location, scale, skew, weight = self._numbers()
        return ((residual - location) / scale).asinh().mul(weight).sub(skew).sinh().clamp(-FARTHEST, FARTHEST)

    def from_normal(self, normal: Tensor) -> Tensor:
        """Inverse of `to_normal`, bounded; may write over its argument."""
        location, scale, skew, weight = self._numbers()
        bounded = normal.clamp_(-FARTHEST, FARTHEST)
        bent = (
            bounded.square().add_(1).sqrt_().add_(bounded).log_()
        )  # arcsinh, whose own function is slow on a processor
        return bent.add_(skew).mul_(1 / weight).sinh_().mul_(scale).add_(location)

    def fit(self, residuals: Tensor, weights: Tensor) -> None:
        """Set the numbers to those under which the residuals are most likely, each counting by its weight; NaN is left out."""
        known = residuals.isfinite()
        picked = _evenly(residuals[known].double().cpu().numpy(), weights[known].double().cpu().numpy())
        if len(picked) < LEAST or np.ptp(picked) == 0:
            return
        start = [float(np.log(picked.std())), 0.0, 0.0]
        inside = [float(np.clip(number, *bound)) for number, bound in zip(start, BOUNDS, strict=True)]
        optimum = minimize(_unlikelihood, inside, (picked,), method="L-BFGS-B", bounds=BOUNDS)
        self.shape.copy_(torch.as_tensor(optimum.x))

    def _numbers(self) -> tuple[float, float, float, float]:
        return _numbers(self.shape.double().cpu().numpy())


def _evenly(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """At most so many of the values, by rank, each as often as its weight asks for."""
    if not len(values):
        return values
    order = values.argsort()
    reached = weights[order].cumsum()
    count = min(MOST, len(values))
    at = (np.arange(count) + 0.5) / count * reached[-1]
    return values[order[np.minimum(reached.searchsorted(at), len(values) - 1)]]


def _numbers(shape: np.ndarray) -> tuple[float, float, float, float]:
    """Location, scale, skew and weight."""
    scale, skew, weight = float(np.exp(shape[0])), float(shape[1]), float(np.exp(shape[2]))
    return -scale * float(np.sinh((np.arcsinh(NORMAL) + skew) / weight).mean()), scale, skew, weight


def _unlikelihood(shape: np.ndarray, residuals: np.ndarray) -> float:
    """Mean negative log density, less what does not depend on the numbers."""
    location, scale, skew, weight = _numbers(shape)
    standard = (residuals - location) / scale
    bent = weight * np.arcsinh(standard) - skew
    log_density = np.log(np.cosh(bent) * weight / scale) - np.log1p(standard**2) / 2 - np.sinh(bent) ** 2 / 2
    return -float(log_density.mean())
