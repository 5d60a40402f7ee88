"""A model of one's own in one file: it is trained, saved, forecast with and measured as the project's own models are.

    python examples/a_baseline_in_one_file.py

The protocol is `ForecastModel`; a point forecast becomes a distribution by `PointModel`, which pools its errors on validation.
"""

import tempfile
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lecdiff_core import City, Forecaster, benchmark, train
from lecdiff_core.city.windows import Batch
from lecdiff_core.models import catalogue
from lecdiff_core.models.protocol import PointModel


class LastWeeks(PointModel):
    """A learned mixture of the same slot one, two and three weeks ago."""

    WEEKS = 3

    def __init__(self, steps_per_day: int) -> None:
        super().__init__()
        self.horizon, self.week = steps_per_day, 7 * steps_per_day
        self.context = self.WEEKS * self.week
        self.weights = torch.nn.Parameter(torch.zeros(self.WEEKS))

    def settings(self) -> dict[str, Any]:
        """What `restore` needs to build it again."""
        return {"steps_per_day": self.horizon}

    def point(self, batch: Batch) -> Tensor:
        """The forecast (B, N, H)."""
        weeks = batch.past.unflatten(2, (self.WEEKS, self.week))[..., : self.horizon]
        known = weeks.isfinite()
        weight = torch.softmax(self.weights, 0)[:, None] * known
        return (weight * weeks.nan_to_num(0.0)).sum(2) / weight.sum(2).clamp_min(1e-6)

    def loss(self, batch: Batch) -> Tensor:
        """Mean absolute error of what was observed."""
        assert batch.future is not None
        return (self.point(batch) - batch.future)[batch.future.isfinite()].abs().mean()


def main() -> None:
    """Register it, train it on a made-up city, forecast, and measure it beside another model."""
    catalogue.register("last-weeks", lambda panel: LastWeeks(panel.steps_per_day), lambda saved: LastWeeks(**saved))
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-03-01", periods=24 * 40, freq="1h", tz="UTC")
    rhythm = 60 + 40 * np.sin(np.arange(len(times)) * 2 * np.pi / 24)
    city = City.from_frames(
        pd.DataFrame({name: rhythm * rng.lognormal(0, 0.1, len(times)) for name in "ABC"}, index=times)
    )
    metrics = train(city, "last-weeks", device="cpu")
    print(f"best validation CRPS {min(metrics['validation_crps']):.3f} after {metrics['epochs']} epochs")
    forecast = Forecaster.load(city, "last-weeks", "cpu").forecast(samples=50)
    print(forecast.to_frame().head(3).to_string(index=False))
    with tempfile.TemporaryDirectory() as folder:
        measured = benchmark(
            city, f"{folder}/test.json", models=["last-weeks", "seasonal-naive"], seeds=1, device="cpu"
        )
    for result in measured["results"]:
        if result["dependence"] == "own":
            print(f"nCRPS on the last fifth: {result['model']} {result['ncrps']:.4f}")


if __name__ == "__main__":
    main()
