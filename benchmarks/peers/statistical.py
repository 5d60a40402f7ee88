"""Dynamic harmonic regression with ARIMA errors (Hyndman & Athanasopoulos, https://otexts.com/fpp3/dhr.html) by statsforecast.

Two seasons at once: harmonics of the day, and a daily course of their own for Saturdays and for Sundays and holidays; what they
leave is ARIMA(2,0,1). The regression comes first, by least squares: fitted together, a station takes seconds and the forecast is no
better. Each station is fitted alone on the training part; at an origin the fitted model runs over the longer history without being
fitted again. Of the models tried on the validation part (MSTL with ETS, seasonal ETS, yesterday) it was the best on Milan and on
Nanjing. Missing values are interpolated from the values known at the time.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.exchange import DAY_TYPES, Known, validation_ncrps

if TYPE_CHECKING:
    from statsforecast.models import ARIMA

ORDERS = ((2, 0, 1), (1, 0, 0), (0, 0, 0))  # the next one where the likelihood of a series has no maximum
DAY_HARMONICS, TYPE_HARMONICS = 6, 3
TRIALS = ({"transform": "square root"}, {"transform": "none"})
TRIAL_STATIONS = 24
LEVEL = 90
Z = 1.6448536269514722  # the 95 % quantile of a normal


class HarmonicRegression:
    """See the module."""

    libraries = ("statsforecast",)

    def fit(self, known: Known, train_stop: int, seed: int) -> dict[str, Any]:  # noqa: ARG002 (nothing is random)
        """Fit every station, with the transform that was better on some of them."""
        count = len(known.values)
        some = known.stations(np.unique(np.linspace(0, count - 1, min(count, TRIAL_STATIONS)).astype(int)))
        trials = []
        for trial in TRIALS:
            self._fit(some, train_stop, trial["transform"])
            trials.append(trial | {"ncrps": round(validation_ncrps(self, some, train_stop), 5)})
        best = min(trials, key=lambda trial: trial["ncrps"])
        self._fit(known, train_stop, best["transform"])
        parameters = self.course.size + sum(len(model.model_["coef"]) + 1 for model in self.models)
        return {"parameters": parameters, "settings": {"transform": best["transform"]}, "trials": trials}

    def sample(self, known: Known, samples: int, seed: int) -> np.ndarray:
        """Normal errors of the model's own width, independent from step to step, on the transformed scale."""
        course = self._regressors(known) @ self.course
        noise = np.random.default_rng([seed, known.steps]).standard_normal((samples, len(known.values), known.horizon))
        drawn = np.empty_like(noise)
        for station, (model, values) in enumerate(zip(self.models, self._filled(known), strict=True)):
            remainder = values - course[: known.steps, station]
            ahead = model.forward(remainder, known.horizon, level=[LEVEL])
            mean, low, high = (np.asarray(ahead[name]) for name in ("mean", f"lo-{LEVEL}", f"hi-{LEVEL}"))
            mean = mean + course[known.steps :, station]
            drawn[:, station] = mean + noise[:, station] * (high - low) / (2 * Z)
        return np.maximum(drawn, 0.0) ** 2 if self.transform == "square root" else drawn

    def _fit(self, known: Known, train_stop: int, transform: str) -> None:
        self.transform = transform
        train = known.before(train_stop)
        values, x = self._filled(train), self._regressors(train)[:train_stop]
        self.course = np.linalg.lstsq(x, values.T)[0]
        self.models = [_fitted(remainder) for remainder in values - (x @ self.course).T]

    def _regressors(self, known: Known) -> np.ndarray:
        """(t + H, …): a level and harmonics of the day, and the same again for each other day type."""
        day = known.calendar(DAY_HARMONICS)[:, : 2 * DAY_HARMONICS].astype(float)
        columns = [np.ones((len(day), 1)), day]
        for kind in range(1, DAY_TYPES):
            here = (known.day_type == kind)[:, None].astype(float)
            columns += [here, here * day[:, : 2 * TYPE_HARMONICS]]
        return np.hstack(columns)

    def _filled(self, known: Known) -> np.ndarray:
        """(N, t) transformed traffic without gaps: interpolated, and the nearest value held at the ends."""
        step = np.arange(known.steps)
        filled = np.empty(known.values.shape)
        for row, values in zip(filled, known.values, strict=True):
            seen = np.isfinite(values)
            row[:] = np.interp(step, step[seen], values[seen]) if seen.any() else 0.0
        return np.sqrt(filled) if self.transform == "square root" else filled


def _fitted(values: np.ndarray) -> "ARIMA":
    from statsforecast.models import ARIMA

    for order in ORDERS:
        try:
            model = ARIMA(order=order).fit(values)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            continue
        if np.isfinite(model.model_["sigma2"]):
            return model
    raise ValueError("not even a mean could be fitted to a series")
