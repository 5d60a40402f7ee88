"""What residuals are beside normal, skewed and heavy-tailed, taken off before they are diffused and put back on afterwards.

The sinh-arcsinh distribution (Jones & Pewsey 2009, https://doi.org/10.1093/biomet/asp053): with z standard normal,

    x = location + scale · sinh((arcsinh z + skew) / weight)

has a longer tail on the right for skew > 0, and heavier tails than a normal for weight < 1; the way back is as short. Four numbers,
fitted to residuals by maximum likelihood.
"""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

FARTHEST = 5.0  # of a standard normal, that samples are bounded at
MOST = 50_000  # residuals that the numbers are fitted to
LEAST = 100
BOUNDS = ((-2.0, 2.0), (-7.0, 5.0), (-1.0, 1.0), (-1.2, 0.4))  # location, log scale, skew, log weight


class Tails(nn.Module):
    """The four numbers, `shape` (4,): location, log scale, skew, log weight; at first of a normal.

    >>> tails = Tails()
    >>> tails.fit(torch.randn(1000).exp())
    >>> float(tails.shape[2]) > 0  # skewed to the right
    True
    """

    shape: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shape", torch.zeros(4))

    def to_normal(self, residual: Tensor) -> Tensor:
        """Residuals of any shape, as normal as they get; NaN stays."""
        location, scale, skew, weight = self._numbers()
        return ((residual - location) / scale).asinh().mul(weight).sub(skew).sinh().clamp(-FARTHEST, FARTHEST)

    def from_normal(self, normal: Tensor) -> Tensor:
        """Inverse of `to_normal`, bounded; may write over its argument."""
        location, scale, skew, weight = self._numbers()
        bent = normal.clamp_(-FARTHEST, FARTHEST).asinh_().add_(skew).mul_(1 / weight)
        return bent.sinh_().mul_(scale).add_(location)

    def fit(self, residuals: Tensor) -> None:
        """Set the numbers to those under which the residuals, evenly picked where there are many, are most likely."""
        known = residuals[residuals.isfinite()].double().cpu().numpy()
        picked = np.sort(known)[np.linspace(0, len(known) - 1, min(MOST, len(known))).astype(int)] if len(known) else known
        if len(picked) < LEAST or np.ptp(picked) == 0:
            return
        start = [float(np.median(picked)), float(np.log(picked.std())), 0.0, 0.0]
        inside = [float(np.clip(number, *bound)) for number, bound in zip(start, BOUNDS, strict=True)]
        found = minimize(_unlikelihood, inside, (picked,), method="L-BFGS-B", bounds=BOUNDS)
        self.shape.copy_(torch.as_tensor(found.x))

    def _numbers(self) -> tuple[float, float, float, float]:
        location, log_scale, skew, log_weight = self.shape.tolist()
        return location, float(np.exp(log_scale)), skew, float(np.exp(log_weight))


def _unlikelihood(shape: np.ndarray, residuals: np.ndarray) -> float:
    """Mean negative log density, less what does not depend on the four numbers."""
    location, log_scale, skew, log_weight = shape
    standard = (residuals - location) / np.exp(log_scale)
    bent = np.exp(log_weight) * np.arcsinh(standard) - skew
    log_density = np.log(np.cosh(bent)) + log_weight - log_scale - np.log1p(standard**2) / 2 - np.sinh(bent) ** 2 / 2
    return -float(log_density.mean())
