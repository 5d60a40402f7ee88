"""Quantiles by LightGBM: one model a quantile for all stations and steps ahead, direct, on lags and the calendar.

Traffic is divided by the station's mean over its last seven days, and a row weighs as much as that mean, so that the loss is the
quantile loss on the original scale. Samples are drawn by interpolating the quantiles at random ranks, independent from step to
step, with exponential tails beyond the outermost. LightGBM takes missing lags as they are; a row whose target is missing is left
out.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.exchange import Known

if TYPE_CHECKING:
    from lightgbm import Booster

LEVELS = np.array([0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975])
TRIAL_LEVELS = (0.1, 0.5, 0.9)
TRIALS = (
    {"num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 200},
    {"num_leaves": 63, "learning_rate": 0.1, "min_data_in_leaf": 100},
)
COMMON = {
    "objective": "quantile",
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,
}
TRAIN_ROWS, VALIDATION_ROWS = 120_000, 30_000
ROUNDS, PATIENCE = 200, 20
LEAST_HISTORY_DAYS = 3
DAYS_BACK = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)
MEAN_DAYS = 28


class LightGBM:
    """See the module."""

    libraries = ("lightgbm",)

    def fit(self, known: Known, train_stop: int, seed: int) -> dict[str, Any]:
        """Fit all quantiles with the settings whose three quantiles had the lower loss on the validation part."""
        rng = np.random.default_rng(seed)
        train = known.before(train_stop)
        first = min(LEAST_HISTORY_DAYS * known.steps_per_day, train_stop // 2)
        rows = _rows(train, np.arange(first, train_stop - known.horizon + 1), TRAIN_ROWS, rng)
        held_out = _rows(known, known.origins(train_stop), VALIDATION_ROWS, rng)
        trials, fitted = [], []
        for settings in TRIALS:
            models = {level: _model(rows, held_out, level, settings, seed) for level in TRIAL_LEVELS}
            loss = float(sum(model.best_score["valid_0"]["quantile"] for model in models.values()))
            trials.append(settings | {"quantile_loss": round(loss, 6)})
            fitted.append(models)
        best = int(np.argmin([trial["quantile_loss"] for trial in trials]))
        models = fitted[best]
        self.models = [models.get(level) or _model(rows, held_out, level, TRIALS[best], seed) for level in LEVELS]
        leaves = sum(int(tree["num_leaves"]) for model in self.models for tree in model.dump_model()["tree_info"])
        return {"parameters": leaves, "settings": dict(TRIALS[best]), "trials": trials}

    def sample(self, known: Known, samples: int, seed: int) -> np.ndarray:
        """Interpolate the quantiles at random ranks."""
        count, horizon = len(known.values), known.horizon
        station, step = (grid.ravel() for grid in np.meshgrid(np.arange(count), np.arange(horizon), indexing="ij"))
        x, level = _features(known, station, np.full(len(station), known.steps), step)
        quantiles = np.sort([model.predict(x, num_threads=1) for model in self.models], axis=0) * level
        ranks = np.random.default_rng([seed, known.steps]).random((samples, len(station)))
        return np.maximum(at_ranks(quantiles, LEVELS, ranks), 0.0).reshape(samples, count, horizon)


def at_ranks(quantiles: np.ndarray, levels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Values at `ranks` (S, M) of distributions given by quantiles (Q, M) at `levels` (Q,): linear between, exponential beyond."""
    column = np.arange(quantiles.shape[1])
    above = np.searchsorted(levels, ranks).clip(1, len(levels) - 1)
    low, high = quantiles[above - 1, column], quantiles[above, column]
    drawn = low + (high - low) * (ranks - levels[above - 1]) / (levels[above] - levels[above - 1])
    scale_low = (quantiles[1] - quantiles[0]) / np.log(levels[1] / levels[0])
    scale_high = (quantiles[-1] - quantiles[-2]) / np.log((1 - levels[-2]) / (1 - levels[-1]))
    tiny = np.finfo(float).tiny
    lower = quantiles[0] + scale_low * np.log(np.maximum(ranks, tiny) / levels[0])
    upper = quantiles[-1] - scale_high * np.log(np.maximum(1 - ranks, tiny) / (1 - levels[-1]))
    return np.where(ranks < levels[0], lower, np.where(ranks > levels[-1], upper, drawn))


def _model(
    rows: tuple[np.ndarray, ...], held_out: tuple[np.ndarray, ...], level: float, settings: dict[str, Any], seed: int
) -> "Booster":
    """One quantile, stopped early on the validation rows."""
    import lightgbm

    data = lightgbm.Dataset(rows[0], rows[1], weight=rows[2])
    return lightgbm.train(
        COMMON | settings | {"alpha": level, "seed": seed},
        data,
        ROUNDS,
        valid_sets=[lightgbm.Dataset(held_out[0], held_out[1], weight=held_out[2], reference=data)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )


def _rows(known: Known, origins: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """At most `count` rows drawn from all stations, origins and steps: features, target over level, weight."""
    station = rng.integers(len(known.values), size=count)
    origin, step = rng.choice(origins, count), rng.integers(known.horizon, size=count)
    x, level = _features(known, station, origin, step)
    y = known.values[station, origin + step] / level
    use = np.isfinite(y)
    return x[use], y[use], (level / level.mean())[use]


def _features(known: Known, station: np.ndarray, origin: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, features) of a row's station, origin and step ahead, from values before the origin alone; and its level (M,)."""
    day, target = known.steps_per_day, origin + step
    values = np.where(np.isfinite(known.values), known.values, 0.0).astype(float)
    sums = np.pad(values.cumsum(1), ((0, 0), (1, 0)))
    counts = np.pad(np.isfinite(known.values).cumsum(1), ((0, 0), (1, 0)))

    def mean(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Mean of the values from step `first` to before `last`; NaN where there are none."""
        first, last = np.maximum(first, 0), np.maximum(last, 0)
        number = counts[station, last] - counts[station, first]
        return np.where(number > 0, (sums[station, last] - sums[station, first]) / np.maximum(number, 1), np.nan)

    def at(index: np.ndarray) -> np.ndarray:
        return np.where(index >= 0, known.values[station, np.maximum(index, 0)], np.nan)

    week = mean(origin - 7 * day, origin)
    floor = 1e-3 * float(np.nanmean(known.values)) + 1e-12
    level = np.maximum(np.nan_to_num(week), floor)
    back = {days: at(target - days * day) for days in range(1, MEAN_DAYS + 1)}
    same_type = {days: known.day_type[np.maximum(target - days * day, 0)] == known.day_type[target] for days in back}
    stack = np.stack([back[days] for days in range(1, MEAN_DAYS + 1)])
    alike = np.where(np.stack(list(same_type.values())), stack, np.nan)
    hour = day // 24
    scaled = [
        *(back[days] for days in DAYS_BACK),
        *(at(origin - k) for k in (1, 2, 3, 4)),
        *(mean(origin - hours * hour, origin) for hours in (3, 6, 24)),
        *(mean(origin - days * day - 6 * hour, origin - days * day) for days in (1, 7)),
        _mean(stack[:7]),
        _mean(stack),
        _mean(alike),
        _latest(alike),
        _mean(np.abs(stack[:7] - _mean(stack[:7]))),
    ]
    plain = [
        step,
        known.slot[target],
        known.weekday[target],
        known.day_type[target],
        known.slot[origin],
        known.day_type[np.maximum(target - day, 0)],
        known.day_type[np.maximum(target - 7 * day, 0)],
        np.log(level),
    ]
    return np.stack([*(part / level for part in scaled), *plain], axis=1).astype(np.float32), level


def _mean(stack: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is there; NaN where nothing is."""
    seen = np.isfinite(stack)
    return np.where(seen.any(0), np.where(seen, stack, 0.0).sum(0) / np.maximum(seen.sum(0), 1), np.nan)


def _latest(stack: np.ndarray) -> np.ndarray:
    """The first value along the first axis that is there; NaN where none is."""
    seen = np.isfinite(stack)
    return np.where(seen.any(0), np.take_along_axis(stack, seen.argmax(0)[None], axis=0)[0], np.nan)
