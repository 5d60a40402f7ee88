"""A sampler of one's own: the second-order midpoint rule, beside the one that LEC-Diff uses.

    python examples/a_sampler.py

A sampler is given `denoise(x, sigma)`, `noise()` and falling levels that end in 0, and knows nothing else.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lecdiff_core import City, Forecaster
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.diffusion import samplers
from lecdiff_core.diffusion.samplers import Denoise, Noise
from lecdiff_core.models.lecdiff import LecDiff


def midpoint(denoise: Denoise, noise: Noise, levels: Tensor) -> Tensor:
    """Each step by the slope in its (geometric) middle; the last one straight to the data."""
    x = noise() * torch.sqrt(1 + levels[0] ** 2)
    for high, low in zip(levels[:-1], levels[1:], strict=True):
        if low == 0:
            return denoise(x, high)
        middle = torch.sqrt(high * low)
        halfway = x + (middle - high) * (x - denoise(x, high)) / high
        x = x + (low - high) * (halfway - denoise(halfway, middle)) / middle
    return x


def main() -> None:
    """Forecast with both, by the same weights and noise."""
    samplers.register("midpoint", midpoint)
    forecaster = Forecaster.load(City.open(DEMO_CITY), "lec-diff", "cpu")
    model = forecaster.model
    assert isinstance(model, LecDiff)
    stations = list(forecaster.city.station_ids[:3])
    usual = forecaster.forecast(samples=200, stations=stations)
    model.config = replace(model.config, sampler="midpoint", denoising_steps=8)
    other = forecaster.forecast(samples=200, stations=stations)
    apart = np.abs(other.quantile(0.5) - usual.quantile(0.5)) / (usual.quantile(0.95) - usual.quantile(0.05))
    print(f"medians differ by {apart.mean():.1%} of the 90 % interval's width")


if __name__ == "__main__":
    main()
