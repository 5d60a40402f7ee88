"""Places without history by the measurement protocol: every station as if it had none (`lecdiff benchmark --history-hours 0`).

Stations are held out in five folds, spatial blocks where places are true (4 × 4 tiles of equally many stations, dealt to the folds
by the seed); each fold is told from the other stations' traffic before an origin, from surroundings and places. What is scored:
single steps, peaks and totals of a station's day, as everywhere; beside them the error of the level and of the profile. Sums over
areas are not: neighbours that are both unknown are a question of their own.

Letters: N stations, H steps of a day, S samples.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lecdiff_core.city import history
from lecdiff_core.city.folder import City
from lecdiff_core.city.panel import Panel, usual_distance
from lecdiff_core.city.splits import Split, origins_within, steps_apart
from lecdiff_core.devices import device_label
from lecdiff_core.environment.embedding.table import EnvironmentTable, read_environment
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.aggregates import Asked
from lecdiff_core.evaluation.backtest import (
    PROTOCOL,
    SAMPLES,
    Run,
    check_part,
    held_out_stations,
    read_results,
    splits_of,
    threshold_of,
    with_run,
    write_results,
)
from lecdiff_core.evaluation.scores import OWN, Dependence, Scores
from lecdiff_core.models.catalogue import SHUFFLE_SEED
from lecdiff_core.models.names import (
    CITY_MEAN,
    LOOKALIKES,
    NEAREST,
    OURS,
    WITH_IMAGE,
    WITH_OTHERS_SURROUNDINGS,
    WITH_TEXT,
    WITH_UNIFIED,
    WITHOUT_SURROUNDINGS,
)
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import digest
from lecdiff_core.sites.known_days import KnownDays
from lecdiff_core.sites.model import FEWEST_STATIONS, RECIPE, SiteModel
from lecdiff_core.sites.regression import Places, Scale
from lecdiff_core.sites.rules import LOOKALIKES as SO_MANY
from lecdiff_core.sites.rules import (
    Closest,
    MeanOfAll,
    Regressed,
    Rule,
    fitted_kernels,
)
from lecdiff_core.sites.surroundings import PICTURE, WORDS, Kinds, View, kinds_of, known_in, station_rows
from lecdiff_core.training import ORIGINS_A_DAY

FOLDS = 5
TILES = 4  # a side
# Which embeddings each model compares stations by; those that are not here take all that there are.
KINDS_OF_MODEL: dict[str, Kinds] = {
    WITHOUT_SURROUNDINGS: (),
    CITY_MEAN: (),
    NEAREST: (),
    WITH_IMAGE: PICTURE,
    WITH_TEXT: WORDS,
    WITH_UNIFIED: ("unified",),
}
DEFAULT = (OURS, WITH_OTHERS_SURROUNDINGS, WITHOUT_SURROUNDINGS, CITY_MEAN, NEAREST, LOOKALIKES)
MEASURABLE = (*DEFAULT, WITH_IMAGE, WITH_TEXT, WITH_UNIFIED)
LEFT_OUT = ("area_all",)  # a sum over stations that are unknown in turn


def benchmark_unseen(
    city: City,
    out: Path,
    part: str = "test",
    models: tuple[str, ...] | None = None,
    seeds: int = 3,
    hold_out_stations: float = 0.0,
    report: Report = silent,
) -> dict[str, Any]:
    """Measure how well stations are told that have no history; results that are in `out` (JSON) already are not computed again.

    models: names; None or "all" = all that the city has what is needed for.  seeds: how often stations are dealt to folds.
    hold_out_stations: instead of every station in turn, this share of them alone. See `backtest.benchmark`.
    """
    check_part(part, hold_out_stations)
    history.require("zero-shot" if part == "zero-shot" else "benchmark", city)
    unseen = Unseen(city)
    runs = [
        Run(model, seed, part, hold_out_stations, False, 0) for model in unseen.chosen(models) for seed in range(seeds)
    ]
    keys = {run: unseen.key(run) for run in runs}
    known = {result.get("key") for result in read_results(out)}
    document = {"city": city.meta.name, "protocol": PROTOCOL, "part": part, "device": device_label(torch.device("cpu"))}
    for index, run in enumerate(runs):
        if keys[run] not in known:
            rows = unseen.measure(run, _stage(report, index, len(runs), run)).rows()
            results = with_run(read_results(out), run, rows, {"key": keys[run], "data": city.data_hash})
            write_results(out, document | {"results": results})
        report(index + 1, len(runs), f"{run.model}, seed {run.seed}")
    return document | {"results": read_results(out)}


@dataclass
class Measured:
    """What a run came to: scores of the samples; errors of the log level (stations told at origins) and of the mean by hour.

    profile: (N, 24, 3) sums of observed, of forecast, and how many steps.
    """

    scores: Scores
    profile: np.ndarray
    level_errors: list[np.ndarray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def level_error(self) -> float:
        """Root of the mean squared error of the log of a station's mean."""
        return float(np.sqrt(np.nanmean(np.square(np.concatenate(self.level_errors)))))

    @property
    def profile_error(self) -> float:
        """Mean absolute error of a station's mean by hour of day, both over their own mean."""
        observed, forecast = (
            _over_mean(self.profile[..., part] / np.maximum(self.profile[..., 2], 1)) for part in (0, 1)
        )
        return float(np.nanmean(np.abs(observed - forecast)))

    def rows(self) -> dict[Dependence, dict[str, Any]]:
        """As in a benchmark file."""
        row = {name: value for name, value in self.scores.summary().items() if name not in LEFT_OUT}
        row |= {"level_error": round(self.level_error, 5), "profile_error": round(self.profile_error, 5)}
        row |= {"parameters": 0, "train_seconds": 0.0, "sample_seconds": round(float(np.median(self.seconds)), 4)}
        return {OWN: row}


class Window(NamedTuple):
    """One origin of a run. fitted_before: the step that what is fitted has seen nothing after."""

    run: Run
    split: Split
    origin: int
    fitted_before: int


class Told(NamedTuple):
    """What a window's stations are told as: samples (S, N, H) and log levels (N,), filled fold by fold."""

    samples: np.ndarray
    level: np.ndarray

    @classmethod
    def nothing(cls, stations: int, steps: int) -> "Told":
        """Before anything is told."""
        return cls(np.full((SAMPLES, stations, steps), np.nan, np.float32), np.full(stations, np.nan))


Models = dict[
    tuple[int, int, bytes], SiteModel
]  # by fold, what they were fitted before, and the stations that are known


class Unseen:
    """A city whose stations are told in turn as if they had no history."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.panel = Panel.of(city)
        self.table: EnvironmentTable | None = read_environment(city)
        self.days = KnownDays(self.panel)
        self._places: dict[str, tuple[Places, np.ndarray]] = {}
        self.usual = usual_distance(self.panel.positions) if city.has_places else 1.0

    def chosen(self, models: tuple[str, ...] | None) -> tuple[str, ...]:
        """Names of the models that are measured. Raises UserError for one that needs history, or what the city lacks."""
        able = tuple(name for name in MEASURABLE if not self._lacking(name))
        if not models:
            return tuple(name for name in DEFAULT if name in able)
        if models == ("all",):
            return able
        for name in models:
            if name not in MEASURABLE:
                raise UserError(
                    f"{name} needs history, and --history-hours 0 leaves none; it measures {', '.join(MEASURABLE)}"
                )
            if lacking := self._lacking(name):
                raise UserError(f"{name} cannot be measured: {lacking}")
        return models

    def key(self, run: Run) -> str:
        """Changes when a result could: recipe, protocol, data, embeddings, run."""
        rows = self._rows(run.model)
        embeddings = [digest(part) for part in rows.values()]
        said = {name: value for name, value in asdict(run).items() if value is not None}
        parts = [said, RECIPE, PROTOCOL, self.city.data_hash, embeddings]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def measure(self, run: Run, report: Report = silent) -> Measured:
        """Score every window of the run's part."""
        panel, steps = self.panel, self.panel.steps_per_day
        folds = self.folds(run.seed, run.hold_out)
        measured = np.sort(np.concatenate(folds))
        names = tuple(panel.station_ids[row] for row in measured)
        totals = Measured(Scores(Asked(), names), np.zeros((len(measured), 24, 3)))
        windows = [
            (split, int(origin))
            for split in splits_of(run.part, panel)
            for origin in origins_within(split.test, steps, steps_apart(steps, ORIGINS_A_DAY))
        ]
        if not windows:
            raise UserError("the reported part holds no whole day: the city has too little traffic to measure on")
        models: Models = {}
        for number, (split, origin) in enumerate(windows):
            report(number, len(windows), "measuring")
            started = time.perf_counter()
            estimated = Told.nothing(len(panel.station_ids), steps)
            window = Window(run, split, origin, fitted_before(run, split, origin, steps))
            for index, fold in enumerate(folds):
                self._tell(window, index, fold, models, estimated)
            totals.seconds.append(time.perf_counter() - started)
            self._add(totals, window, measured, estimated)
        return totals

    def folds(self, seed: int, hold_out: float = 0.0) -> list[np.ndarray]:
        """Rows of the stations that are unknown together: each station once, or those held out alone."""
        count = len(self.panel.station_ids)
        if hold_out:
            return [held_out_stations(count, hold_out)]
        rng = np.random.default_rng(seed)
        if self.city.has_true_places and count >= TILES**2:
            tile = tiles(self.panel.positions)
            dealt = np.empty(TILES**2, int)
            dealt[rng.permutation(TILES**2)] = np.arange(TILES**2) % FOLDS
            fold = dealt[tile]
        else:
            fold = rng.permutation(count) % FOLDS
        return [rows for index in range(FOLDS) if len(rows := np.flatnonzero(fold == index))]

    def _lacking(self, model: str) -> str:
        """What the city lacks for a model to be measured, in words; empty where it has all."""
        if model == NEAREST and not self.city.has_places:
            return "nothing is known of where the stations stand"
        wanted = KINDS_OF_MODEL.get(model, kinds_of(self.table) or PICTURE)
        if any(self.table is None or not np.any(getattr(self.table, kind)) for kind in wanted):
            return "the city lacks such embeddings; make them with `lecdiff embed`"
        return ""

    def _rows(self, model: str) -> dict[str, np.ndarray]:
        """Rows (N, D) of each kind that a model compares stations by; with another station's where they are shuffled."""
        kinds = KINDS_OF_MODEL.get(model, kinds_of(self.table))
        if not kinds or self.table is None:
            return {}
        rows = station_rows(self.table, self.panel.station_ids, kinds)
        if model != WITH_OTHERS_SURROUNDINGS:
            return rows
        order = np.random.default_rng(SHUFFLE_SEED).permutation(len(self.panel.station_ids))
        return {kind: part[order] for kind, part in rows.items()}

    def _placed(self, model: str) -> tuple[Places, np.ndarray]:
        """All stations as places for a model, and (N,) whether each has surroundings."""
        if model not in self._places:
            rows = self._rows(model)
            count = len(self.panel.station_ids)
            seen = known_in(rows, count)
            together = (
                View.of(tuple(rows), {kind: part[seen] for kind, part in rows.items()}).side_by_side(rows)
                if rows
                else None
            )
            positions = self.panel.positions if self.city.has_places else None
            self._places[model] = Places(count, together, positions), seen
        return self._places[model]

    def _tell(self, window: Window, fold: int, rows: np.ndarray, models: Models, totals: Told) -> None:
        """Tell a fold's stations, those with surroundings and those without apart."""
        places, seen = self._placed(window.run.model)
        before = self.days.at(window.origin).level
        usable = np.isfinite(before) & (before > 0)
        usable[rows] = False
        bare = Places(places.count, None, places.positions)
        groups = [(bare, rows, usable, fold)]
        if places.surroundings is not None:
            groups = [(places, rows[seen[rows]], usable & seen, fold), (bare, rows[~seen[rows]], usable, fold + FOLDS)]
        for whole, asked, known, name in groups:
            if not len(asked):
                continue
            model = self._model(window, whole, np.flatnonzero(known), models, name)
            at = whole.select(asked)
            names = [self.panel.station_ids[row] for row in asked]
            totals.samples[:, asked] = model.sample_day(at, names, SAMPLES, window.run.seed)
            totals.level[asked] = model.level(model.rule(at))[0]

    def _model(self, window: Window, places: Places, rows: np.ndarray, models: Models, name: int) -> SiteModel:
        """What these stations say; their rule is the same for all origins that it is fitted for."""
        if len(rows) < FEWEST_STATIONS:
            raise UserError(
                f"{len(rows)} stations have traffic to tell others from; at least {FEWEST_STATIONS} are needed"
            )
        key = name, window.fitted_before, rows.tobytes()
        if key not in models:
            rule = self._rule(window, places.select(rows), rows)
            models[key] = SiteModel(self.days, rows, rule, window.origin)
        return replace(models[key], origin=window.origin)

    def _rule(self, window: Window, known: Places, rows: np.ndarray) -> Rule:
        if window.run.model == CITY_MEAN:
            return MeanOfAll(known)
        if window.run.model == NEAREST:
            return Closest(known, "near", 1)
        if window.run.model == LOOKALIKES:
            return MeanOfAll(known) if known.surroundings is None else Closest(known, "alike", SO_MANY)
        before = self.days.at(window.fitted_before).level[rows]
        levelled = np.isfinite(before) & (before > 0)
        log_level = np.log(np.where(levelled, before, self.days.at(window.origin).level[rows]))
        week = self.days.usual_week(window.fitted_before)[rows]
        week = np.where(levelled[:, None, None], week, 1.0).reshape(len(rows), -1)
        return Regressed(
            fitted_kernels(known, Scale.of(known, self.usual), log_level, week), known, float(log_level.var())
        )

    def _add(self, totals: Measured, window: Window, measured: np.ndarray, estimated: Told) -> None:
        run, split, origin = window.run, window.split, window.origin
        samples, level = estimated.samples[:, measured], estimated.level[measured]
        panel = self.panel
        observed = panel.values[measured, origin : origin + panel.steps_per_day]
        clock = panel.future_clock(origin, panel.steps_per_day)
        hours = np.asarray(clock.hour)
        threshold = threshold_of(panel, measured, origin if run.part == "zero-shot" else split.test.start)
        totals.scores.add(observed, samples, hours, str(clock[0].date()), threshold)
        known, mean = np.isfinite(observed), samples.mean(0)
        by_hour = np.eye(24)[hours]  # (H, 24)
        parts = (np.where(known, observed, 0.0), np.where(known, mean, 0.0), known)
        totals.profile += np.stack([values @ by_hour for values in parts], axis=2)
        total = np.where(known.all(1), observed.mean(1), np.nan)
        totals.level_errors.append(np.log(np.where(total > 0, total, np.nan)) - level)


def fitted_before(run: Run, split: Split, origin: int, steps_per_day: int) -> int:
    """The step before which kernels are fitted: the start of the reported part, zero-shot the last day's end before the origin."""
    if run.part != "zero-shot":
        return split.test.start
    return origin - origin % steps_per_day


def tiles(positions: np.ndarray, side: int = TILES) -> np.ndarray:
    """(N,) the tile of each station: `side` columns of equally many from west to east, each in as many rows from south to north."""
    tile = np.empty(len(positions), int)
    for column, members in enumerate(np.array_split(np.argsort(positions[:, 0], kind="stable"), side)):
        for row, inside in enumerate(np.array_split(members[np.argsort(positions[members, 1], kind="stable")], side)):
            tile[inside] = column * side + row
    return tile


def _over_mean(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return values / values.mean(1, keepdims=True)


def _stage(report: Report, index: int, count: int, run: Run) -> Report:
    return lambda done, total, message: report(
        index + done / max(total, 1), count, f"{run.model}, seed {run.seed}: {message}"
    )
