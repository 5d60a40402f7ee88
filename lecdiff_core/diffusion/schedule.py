"""Noise levels, from white noise down to data.

Everything here speaks of σ, the standard deviation of the noise added to data of unit variance (Karras et al. 2022,
https://arxiv.org/abs/2206.00364). The variance-preserving chain of DDPM (Ho et al. 2020) is the same process seen through
x_t = x_σ / sqrt(1 + σ²), with σ² = (1 - ᾱ_t) / ᾱ_t.
"""

import torch
from torch import Tensor


def karras_levels(steps: int, smallest: float = 0.02, largest: float = 20.0, rho: float = 7.0) -> Tensor:
    """`steps` falling levels and a final 0 (Karras et al. 2022, eq. 5): (steps + 1,)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (largest ** (1 / rho) + ramp * (smallest ** (1 / rho) - largest ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)]).float()


def linear_beta_levels(steps: int, first: float = 1e-4, last: float = 0.1) -> Tensor:
    """Levels of a DDPM chain with linear β, falling, and a final 0: (steps + 1,). β as in TimeGrad (Rasul et al. 2021)."""
    signal = torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), dim=0)
    levels = torch.sqrt((1 - signal) / signal).flip(0)
    return torch.cat([levels, levels.new_zeros(1)]).float()


def even_angles(steps: int, largest: float = 1.2) -> Tensor:
    """`steps` levels whose angles arctan σ fall evenly from `largest` (σ = 2.6), and a final 0: (steps + 1,)."""
    angles = torch.linspace(largest, 0.0, steps + 1, dtype=torch.float64)
    return torch.tan(angles).float()
