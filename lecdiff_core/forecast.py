"""A forecast: samples of future traffic for some stations, and the tables made from them.

Whatever a person sees of a forecast is read off here, so that every page, file and program tells the same number.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.provenance import Source
from lecdiff_core.tables import write_table

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True)
class Forecast:
    """A distribution of future traffic, held as samples that belong together over stations and steps.

    So any sum, peak or difference of samples is a forecast, too: `samples.max(2)` is a station's busiest interval, `samples.sum(1)`
    what all stations carry together.

    Attributes:
        station_ids: N names.
        timestamps: (H,) start of each forecast interval, tz-aware, in the city's time zone.
        samples: (S, N, H) float32, in the city's unit, never negative.
        left_out: stations that were asked for and could not be forecast.
        notices: what a reader should know of it, in plain sentences.
        source: what was read for it (model, and hashes of data and weights), and its start.

    Raises:
        ValueError: where the samples' shape does not fit stations and steps.

    Examples:
        >>> import numpy as np, pandas as pd
        >>> from lecdiff_core import Forecast
        >>> hours = pd.date_range("2024-03-01", periods=2, freq="1h", tz="UTC")
        >>> samples = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 9.0]]], np.float32)
        >>> forecast = Forecast(("A",), hours, samples)
        >>> forecast.quantile(0.5).tolist(), forecast.peak_quantile(0.5).tolist()
        ([[3.0, 4.0]], [4.0])
        >>> list(forecast.to_frame().columns)
        ['station_id', 'timestamp', 'mean', 'q05', 'q25', 'q50', 'q75', 'q95']
    """

    station_ids: tuple[str, ...]
    timestamps: pd.DatetimeIndex
    samples: np.ndarray
    left_out: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    source: Source = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.station_ids), len(self.timestamps))
        if self.samples.ndim != 3 or self.samples.shape[1:] != expected:
            raise ValueError(f"samples of shape {self.samples.shape} do not fit (stations, steps) = {expected}")

    @property
    def mean(self) -> np.ndarray:
        """(N, H) mean over samples."""
        return self.samples.mean(axis=0)

    def quantile(self, level: float) -> np.ndarray:
        """(N, H) quantile over samples, `level` in [0, 1]."""
        return sample_quantiles(self.samples, [level])[0]

    def interval(self, coverage: float) -> tuple[np.ndarray, np.ndarray]:
        """Central interval that holds `coverage` of what may come: lower and upper bound, each (N, H)."""
        below = round(0.5 - coverage / 2, 9)  # of 90 %, 0.05 to the last digit
        lower, upper = sample_quantiles(self.samples, [below, 1 - below])
        return lower, upper

    def peak_quantile(self, level: float) -> np.ndarray:
        """(N,) quantile of the highest traffic of a sample, `level` in [0, 1]."""
        return sample_quantiles(self.samples.max(axis=2), [level])[0]

    def total_quantile(self, level: float) -> np.ndarray:
        """(N,) quantile of what a sample carries over all steps, `level` in [0, 1]."""
        return sample_quantiles(self.samples.sum(axis=2), [level])[0]

    def together(self, name: str) -> "Forecast":
        """All stations as one (N = 1) called `name`: each sample summed, so that its intervals, peak and total are the sum's.

        >>> import numpy as np, pandas as pd
        >>> hours = pd.date_range("2024-03-01", periods=1, freq="1h", tz="UTC")
        >>> Forecast(("A", "B"), hours, np.array([[[1.0], [2.0]]], np.float32)).together("both").samples.tolist()
        [[[3.0]]]
        """
        return Forecast(
            (name,), self.timestamps, self.samples.sum(1, keepdims=True), self.left_out, self.notices, self.source
        )

    def station(self, station_id: str) -> "Forecast":
        """The forecast of one station (N = 1). Raises UserError for one that is not in it."""
        if station_id not in self.station_ids:
            raise UserError(f"station {station_id!r} is not in this forecast of {len(self.station_ids)} stations")
        index = self.station_ids.index(station_id)
        return Forecast((station_id,), self.timestamps, self.samples[:, index : index + 1])

    def to_frame(self, keep_samples: bool = False) -> pd.DataFrame:
        """One row a station and step: `station_id, timestamp, mean, q05, q25, q50, q75, q95`, in the city's unit.

        Args:
            keep_samples: with the S samples, too, as columns `sample_0`, `sample_1`, …
        """
        steps, stations = len(self.timestamps), len(self.station_ids)
        columns: dict[str, object] = {
            "station_id": np.repeat(np.asarray(self.station_ids, dtype=object), steps),
            "timestamp": self.timestamps[np.tile(np.arange(steps), stations)],
            "mean": self.mean.ravel(),
        }
        quantiles = sample_quantiles(self.samples, list(QUANTILES.values()))
        columns |= {name: values.ravel() for name, values in zip(QUANTILES, quantiles, strict=True)}
        if keep_samples:
            columns |= {f"sample_{index}": sample.ravel() for index, sample in enumerate(self.samples)}
        return pd.DataFrame(columns)


def write_forecast(forecast: Forecast, path: Path | str, keep_samples: bool = False) -> None:
    """Write the table of a forecast to `path`, as .parquet, which tells what was read for it, or .csv."""
    write_table(forecast.to_frame(keep_samples), Path(path), "a forecast", forecast.source)
