"""Networks that estimate clean data from noisy data under a condition, and their training loss.

Both decoders are one network, a residual MLP whose layers are shifted by the condition and by the noise level: `joint`
denoises the H steps of a window at once, `autoregressive` one step at a time (width 1).
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import silu


class NoiseLevelEmbedding(nn.Module):
    """Fourier features of log σ: (...,) → (..., width)."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(-2.0, 3.0, width // 2)))
        self.mix = nn.Linear(2 * (width // 2), width)

    def forward(self, sigma: Tensor) -> Tensor:
        """Embed noise levels."""
        angles = torch.log(sigma)[..., None] / 4 * self.frequencies
        return self.mix(torch.cat([angles.sin(), angles.cos()], dim=-1))


class ResidualLayer(nn.Module):
    """x + W₂ σ(W₁ x + shift): (..., width); the shift is computed once a condition, not once a sample."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.shift = nn.Linear(condition, width, bias=False)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Refine x under a condition whose shape broadcasts against it."""
        return x + self.outer(silu(self.inner(x) + self.shift(condition)))


class Denoiser(nn.Module):
    """Denoiser for data of about unit variance.

    x: (..., data) noisy at level σ; condition: (..., condition), broadcast against x; returns expected clean data.

    prediction: what the network itself gives, from x / √(1+σ²).
      "velocity": x / (1+σ²) + σ/√(1+σ²) · network, whose target has unit variance at every level (Karras et al. 2022,
      table 1, σ_data = 1; up to its sign the v-prediction of the variance-preserving process).
      "noise": x - σ · network, as in DDPM (Ho et al. 2020) and TimeGrad.
    """

    def __init__(self, data: int, condition: int, width: int, layers: int, prediction: str = "velocity") -> None:
        super().__init__()
        self.prediction = prediction
        self.level = NoiseLevelEmbedding(width)
        self.enter = nn.Linear(data, width)
        self.shift = nn.Linear(condition, width)
        self.layers = nn.ModuleList(ResidualLayer(width, condition) for _ in range(layers))
        self.leave = nn.Linear(width, data)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """Expected clean data; `sigma` is a scalar or broadcasts against x without its last dimension."""
        variance = (1 + sigma**2)[..., None]
        hidden = self.enter(x * variance.rsqrt()) + self.shift(condition) + self.level(sigma)
        for layer in self.layers:
            hidden = layer(hidden, condition)
        own = self.leave(silu(hidden))
        if self.prediction == "noise":
            return x - sigma[..., None] * own
        return x / variance + own * (sigma[..., None] * variance.rsqrt())

    def conditioned(self, condition: Tensor) -> "ConditionedDenoiser":
        """This network under a fixed condition (M, C) or (S, M, C), for sampling."""
        return ConditionedDenoiser(self, condition)

    def loss(self, data: Tensor, observed: Tensor, condition: Tensor, sigma: Tensor) -> Tensor:
        """Squared error of the network's own target (scalar); only observed entries count.

        data: (M, data), zeros where missing; observed: the same shape, 0 or 1; condition: (M, condition);
        sigma: (R, M), R noise levels for each row.
        """
        noisy = data + sigma[..., None] * torch.randn(len(sigma), *data.shape, device=data.device)
        error = (self(noisy, sigma, condition) - data) ** 2
        weight = 1 / sigma**2 if self.prediction == "noise" else (1 + sigma**2) / sigma**2
        return (weight[..., None] * observed * error).sum() / (len(sigma) * observed.sum()).clamp_min(1.0)


class ConditionedDenoiser:
    """`Denoiser.forward` for sampling: what depends on the condition alone is computed once, and memory is written in place.

    Made for x of shape (S, M, data) and one noise level at a time; carries no gradient.
    """

    def __init__(self, denoiser: Denoiser, condition: Tensor) -> None:
        self.denoiser = denoiser
        self.entering = denoiser.shift(condition) + denoiser.enter.bias
        self.layers = cast(Iterable[ResidualLayer], denoiser.layers)
        self.shifts = [layer.shift(condition) + layer.inner.bias for layer in self.layers]

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Expected clean data for x (S, M, data) at the level σ, a scalar."""
        denoiser, level = self.denoiser, float(sigma)
        variance = 1 + level**2
        noisy = x.flatten(0, 1)
        entering = self.entering + denoiser.level(sigma.to(x.device))
        hidden = entering.expand(*x.shape[:-1], -1).contiguous().flatten(0, 1)
        hidden.addmm_(noisy, denoiser.enter.weight.t(), alpha=variance**-0.5)
        for layer, shift in zip(self.layers, self.shifts, strict=True):
            inner = torch.mm(hidden, layer.inner.weight.t()).view(*x.shape[:-1], -1).add_(shift)
            inner = silu(inner, inplace=True).flatten(0, 1)
            hidden.addmm_(inner, layer.outer.weight.t()).add_(layer.outer.bias)
        hidden = silu(hidden, inplace=True)
        signal, own = (1.0, -level) if denoiser.prediction == "noise" else (1 / variance, level * variance**-0.5)
        clean = torch.addmm(noisy, hidden, denoiser.leave.weight.t(), beta=signal, alpha=own)
        return clean.add_(denoiser.leave.bias, alpha=own).view_as(x)
