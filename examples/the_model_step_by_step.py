"""LEC-Diff taken apart on the demo city: a window, the condition and frame, the noise, two denoising steps, samples.

python examples/the_model_step_by_step.py
"""

import numpy as np
import torch

from lecdiff_core import City, Forecaster
from lecdiff_core.city.windows import Windows
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.models.lecdiff import LecDiff
from lecdiff_core.models.protocol import RowNoise


def main() -> None:
    """Print the shapes on the way; B windows, N stations, S samples, H steps ahead."""
    forecaster = Forecaster.load(City.open(DEMO_CITY), "lec-diff", "cpu")
    model, panel = forecaster.model, forecaster.panel
    assert isinstance(model, LecDiff)

    windows = Windows(panel, forecaster.graph, model.context, model.horizon)
    batch = windows.batch(np.array([panel.steps - model.horizon]))
    print(
        f"past traffic        {tuple(batch.past.shape)}   (B, N, L): {model.context // panel.steps_per_day} days before the origin"
    )

    with torch.no_grad():
        encoding = model.encode(batch)
        print(f"state of stations   {tuple(encoding.state.shape)}     of the recurrent encoder")
        print(f"fused               {tuple(encoding.fused.shape)}     over the graph")
        shape = tuple(encoding.frame.mean.shape)
        print(f"frame               {shape}     mean and spread of each step ahead, in units of the station's mean")

        stations = panel.station_ids
        noise = RowNoise.at(["2025-10-30T00:00"] * len(stations), stations, panel.cells, seed=0)
        white = model.field.draw(noise, samples=50)(slice(0, len(stations)))
        tied = np.corrcoef(white[:, 0].flatten(), white[:, 1].flatten())[0, 1]
        print(f"noise               {tuple(white.shape)} (S, N, H): two neighbours' noise correlates by {tied:.2f}")

        noise = RowNoise.at(["2025-10-30T00:00"] * len(stations), stations, panel.cells, seed=0)
        samples = model.sample(batch, 50, noise)
    print(
        f"samples             {tuple(samples.shape)}   (B, S, N, H), after {model.config.denoising_steps} denoising steps"
    )
    total = samples[0].sum(1)
    print(f"whole network, first half-hour ahead: {total[:, 0].mean():.0f} ± {total[:, 0].std():.0f}")


if __name__ == "__main__":
    main()
