"""The shipped models forecast today what they forecast when these numbers were written, to 1e-5 of the samples' spread.

Moving code must change nothing that is computed. After a change that is meant to (a new recipe, a new demo model), write the
numbers again: `python -m tests.models.test_fixed_forecasts`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.forecaster import Forecaster

FILE = Path(__file__).with_name("fixed_forecasts.json")
MODELS = ("lec-diff", "base")
STATIONS, SAMPLES, STEPS = 3, 20, 48
EVERY = 6  # steps of which numbers are kept
TOLERANCE = 1e-5  # of the spread of a station's samples at a step


def fixed_forecast(model: str) -> dict[str, np.ndarray]:
    """Quantiles (5, N, H) and first samples (2, N, H) of some stations, and the samples' spread (N, H)."""
    city = City.open(DEMO_CITY)
    stations = list(city.station_ids[:: len(city.station_ids) // STATIONS])[:STATIONS]
    start = city.traffic.index[-1] - 2 * STEPS * city.interval
    samples = Forecaster.load(city, model, "cpu").forecast(start, STEPS, SAMPLES, stations).samples[..., ::EVERY]
    quantiles = np.stack(sample_quantiles(samples, [0.05, 0.25, 0.5, 0.75, 0.95]))
    return {"quantiles": quantiles, "first": samples[:2], "spread": samples.std(0)}


@pytest.mark.parametrize("model", MODELS)
def test_a_shipped_model_forecasts_what_it_did(model: str) -> None:
    kept = json.loads(FILE.read_text("utf-8"))[model]
    found = fixed_forecast(model)
    for name in ("quantiles", "first"):
        off = np.abs(found[name] - np.array(kept[name])) / np.array(kept["spread"])
        assert off.max() <= TOLERANCE, name


if __name__ == "__main__":
    numbers = {model: {name: part.tolist() for name, part in fixed_forecast(model).items()} for model in MODELS}
    FILE.write_text(json.dumps(numbers) + "\n", "utf-8")
