"""From a CSV of one's own to a forecast with intervals, and to what samples are for: peaks, sums and risks.

    python examples/own_csv_to_forecast.py [traffic.csv]

The file has a row a reading: `station_id, timestamp, traffic`. Without one, three made-up stations are written and read.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from lecdiff_core import Forecaster


def write_made_up(file: Path) -> None:
    """Ten days of three stations, hourly."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-03-01", periods=240, freq="1h", tz="Europe/Rome")
    rhythm = 1.2 + np.sin((np.asarray(times.hour) - 9) * 2 * np.pi / 24)
    wide = {name: level * rhythm * rng.lognormal(0, 0.1, 240) for name, level in (("A", 40), ("B", 90), ("C", 15))}
    table = pd.DataFrame(wide, index=times).rename_axis("timestamp").reset_index()
    table.melt("timestamp", var_name="station_id", value_name="traffic").to_csv(file, index=False)


def main(file: Path) -> None:
    """Read, forecast the day after the data, and say what comes of it."""
    traffic = pd.read_csv(file)
    traffic["timestamp"] = pd.to_datetime(traffic["timestamp"], utc=True).dt.tz_convert("Europe/Rome")
    forecast = Forecaster.for_frames(traffic, unit="MB").forecast(samples=100)
    for notice in forecast.notices:
        print(f"Note: {notice}.")
    print(forecast.to_frame().head(3).to_string(index=False))
    samples = forecast.samples  # (100 samples, stations, 24 hours), which belong together
    low, high = np.quantile(samples.max(2), [0.05, 0.95], axis=0)  # the busiest hour of each station
    for name, least, most in zip(forecast.station_ids, low, high, strict=True):
        print(f"Busiest hour of {name}: {least:.0f} to {most:.0f} MB with 90 % probability")
    together = samples.sum(1)
    print(f"All stations, whole day: {together.sum(1).mean():.0f} MB expected")
    print(f"Probability of more than 350 MB in any hour: {(together > 350).any(1).mean():.0%}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_made_up(Path(folder) / "traffic.csv")
            main(Path(folder) / "traffic.csv")
