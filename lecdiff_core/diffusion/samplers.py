"""From white noise to samples: solvers that walk down the noise levels with any denoiser.

A sampler knows neither the network nor the schedule. It is given

- `denoise(x, sigma)`: the expected clean data for noisy `x` at level `sigma`,
- `noise()`: fresh standard normal noise of the shape of the samples,
- `levels`: falling σ ending in 0 (diffusion/schedule.py).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lecdiff_core.extensions import add_installed

Denoise = Callable[[Tensor, Tensor], Tensor]
Noise = Callable[[], Tensor]
Sampler = Callable[[Denoise, Noise, Tensor], Tensor]


def _start(noise: Noise, levels: Tensor) -> Tensor:
    """Noisy data at the largest level: data of unit variance plus noise."""
    return noise() * torch.sqrt(1 + levels[0] ** 2)


def ancestral(denoise: Denoise, noise: Noise, levels: Tensor) -> Tensor:
    """The Markov chain of DDPM: step towards the data, then put part of the noise back (Langevin dynamics).

    Ho et al. 2020, algorithm 2, with the posterior variance; one evaluation a level.
    """
    x = _start(noise, levels)
    for high, low in zip(levels[:-1], levels[1:], strict=True):
        data = denoise(x, high)
        remaining = (low / high) ** 2
        x = data + remaining * (x - data)
        if low > 0:
            x = x + low * torch.sqrt(1 - remaining) * noise()
    return x


def ddim(denoise: Denoise, noise: Noise, levels: Tensor) -> Tensor:
    """Deterministic first-order steps (Song et al. 2021); one evaluation a level."""
    x = _start(noise, levels)
    for high, low in zip(levels[:-1], levels[1:], strict=True):
        data = denoise(x, high)
        x = data + (low / high) * (x - data)
    return x


def heun(denoise: Denoise, noise: Noise, levels: Tensor) -> Tensor:
    """Deterministic second-order steps (Karras et al. 2022, algorithm 1); two evaluations a level, one at the last."""
    x = _start(noise, levels)
    for high, low in zip(levels[:-1], levels[1:], strict=True):
        slope = (x - denoise(x, high)) / high
        euler = x + (low - high) * slope
        if low > 0:
            slope = (slope + (euler - denoise(euler, low)) / low) / 2
        x = x + (low - high) * slope
    return x


def dpm_solver(denoise: Denoise, noise: Noise, levels: Tensor) -> Tensor:
    """DPM-Solver++(2M), second order with one evaluation a level (Lu et al. 2022, https://arxiv.org/abs/2211.01095)."""
    x = _start(noise, levels)
    before: Tensor | None = None
    for index in range(len(levels) - 1):
        high, low = levels[index], levels[index + 1]
        data = denoise(x, high)
        towards = data
        if before is not None and low > 0:
            step, last_step = torch.log(high / low), torch.log(levels[index - 1] / high)
            towards = data + (data - before) * step / (2 * last_step)
        x = torch.lerp(towards, x, low / high)
        before = data
    return x


def trigonometric(denoise: Denoise, noise: Noise, levels: Tensor) -> Tensor:
    """The same flow in the angle φ = arctan σ, where x / sqrt(1 + σ²) moves by the velocity alone (TrigFlow, Lu & Song 2025).

    Second-order Adams-Bashforth, one evaluation a level. Data that are standard normal do not move at all, so where whitening has
    made them nearly so two or three steps are enough, and no step narrows them. https://arxiv.org/abs/2410.11081
    """
    angles = torch.atan(levels)
    x, before = noise(), None
    for index in range(len(levels) - 1):
        cosine, step = torch.cos(angles[index]), float(angles[index] - angles[index + 1])
        velocity = denoise(x / cosine, levels[index]).sub_(cosine * x).div_(torch.sin(angles[index]))
        ahead = 0.0 if before is None else step / (2 * float(angles[index - 1] - angles[index]))
        x = x.add_(velocity, alpha=step * (1 + ahead))
        if before is not None:
            x = x.add_(before, alpha=-step * ahead)
        before = velocity
    return x


SAMPLERS: dict[str, Sampler] = {
    "ancestral": ancestral,
    "ddim": ddim,
    "heun": heun,
    "dpm-solver": dpm_solver,
    "trigonometric": trigonometric,
}


def register(name: str, sampler: Sampler) -> None:
    """Add a sampler, which `LecDiffConfig.sampler` then names; one of the same name takes its place."""
    SAMPLERS[name] = sampler


add_installed("samplers")
