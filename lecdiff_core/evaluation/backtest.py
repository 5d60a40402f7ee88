"""The measurement protocol (version 2): every model on the same windows, scored alike, results kept and not computed twice."""

import copy
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lecdiff_core.bounded import read_json
from lecdiff_core.city import history
from lecdiff_core.city.folder import City
from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import (
    Split,
    origins_within,
    protocol_split,
    steps_apart,
    validation_folds,
    zero_shot_split,
)
from lecdiff_core.city.windows import Windows
from lecdiff_core.devices import choose_device, device_label
from lecdiff_core.environment.embedding.table import read_panel
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.aggregates import Asked
from lecdiff_core.evaluation.conformal import Calibration
from lecdiff_core.evaluation.dependence import Lender, PastWindows
from lecdiff_core.evaluation.metrics import OrderedSamples, samples_last
from lecdiff_core.evaluation.scores import Dependence, Scores, ValueScores
from lecdiff_core.models import base
from lecdiff_core.models.catalogue import build, entry, runnable, seen
from lecdiff_core.models.names import OURS, SLOW, YARDSTICKS
from lecdiff_core.models.protocol import ForecastModel, PointModel, RowNoise
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import is_current
from lecdiff_core.storage import replacing
from lecdiff_core.training import ORIGINS_A_DAY, RECIPES, train

PROTOCOL = 2
PARTS = ("validation", "test", "zero-shot")
SAMPLES = 100
SLOW_SAMPLES, SLOW_ORIGINS, SLOW_SEEDS = 20, 4, 1
DEFAULT_MODELS = (OURS, *YARDSTICKS)
ALL_MODELS = ("all",)  # in place of names: every model that the city can be measured with
THRESHOLD = 0.95  # quantile of a station's past, above which traffic is scored by itself


@dataclass(frozen=True)
class Run:
    """One model, one seed, one part of one city."""

    model: str
    seed: int
    part: str
    hold_out: float
    subset: bool  # only the windows that slow models are measured on
    # How much is known of the past of the stations held out, or, where none are, of all; None = everything.
    history_hours: int | None = None
    base_without: str | None = None  # network that the base's numbers saw nothing of, where the stations do not tell it


class Fitted(NamedTuple):
    """A trained model, the indices of the stations it was trained on, and the seconds it took."""

    model: ForecastModel
    stations: np.ndarray
    seconds: float


Fit = Callable[[Run, Panel, Split, torch.device, Report], Fitted]
Lend = Callable[[], Sequence[Lender]]


def benchmark(
    city: City,
    out: Path,
    part: str = "test",
    models: tuple[str, ...] | None = None,
    seeds: int = 3,
    hold_out_stations: float = 0.0,
    history_hours: int | None = None,
    device: str = "auto",
    report: Report = silent,
    base_without: str | None = None,
) -> dict[str, Any]:
    """Measure models on a city and keep the results in `out` (JSON); results that are there already are not computed again.

    part: "validation" (four expanding folds inside the first 80 %, for choosing), "test" (for the table) or "zero-shot" (nothing is
    fitted on the city; every day from its third on).
    hold_out_stations: share of stations left out of training altogether and measured alone.
    models: names, ALL_MODELS, or None for the quick ones.
    history_hours: forecasts are made with only so much past of the stations held out, as of new ones among old ones; where none
    are, of every station, and the model is calibrated so. Training sees all of it.
    base_without: the network that the base model's numbers are to have seen nothing of; a city of one of the base's own networks is
    measured zero-shot by no other.
    """
    check_part(part, hold_out_stations)
    if history_hours is not None and history_hours < 1:
        raise UserError(f"--history-hours must be at least 0, not {history_hours}")
    history.require("zero-shot" if part == "zero-shot" else "benchmark", city)
    chosen = _chosen(city, part, models)
    if part == "zero-shot":
        _check_base(city, chosen, base_without)
    if part == "zero-shot" and hold_out_stations:
        raise UserError(
            "--part zero-shot trains on no station, so none can be held out: leave --hold-out-stations away"
        )
    where = choose_device(device)
    runs = [
        Run(
            model,
            seed,
            part,
            hold_out_stations,
            subset_only,
            history_hours,
            base_without if entry(model).without else None,
        )
        for subset_only in ([False, True] if any(model in SLOW for model in chosen) else [False])
        for model in chosen
        if subset_only or model not in SLOW
        for seed in range(SLOW_SEEDS if subset_only else seeds)
    ]
    read = cache(partial(read_panel, city))  # by embedding
    keys = {run: result_key(run, *read(entry(run.model).embedding), city) for run in runs}
    results = read_results(out)
    known = {result.get("key") for result in results}
    trainings = SharedTrainings([run for run in runs if keys[run] not in known])
    lend = cache(lambda: lenders(Panel.of(city), part))
    document = {"city": city.meta.name, "protocol": PROTOCOL, "part": part, "device": device_label(where)}
    for index, run in enumerate(runs):
        if keys[run] not in known:
            panel, _ = read(entry(run.model).embedding)
            rows = measure(run, panel, where, _stage(report, index, len(runs), run), trainings.fit, lend)
            trainings.done(run)
            results = with_run(read_results(out), run, rows, {"key": keys[run], "data": city.data_hash})
            write_results(out, document | {"results": results})
        report(index + 1, len(runs), f"{run.model}, seed {run.seed}")
    return document | {"results": results}


def _chosen(city: City, part: str, models: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of the models that are measured. Raises UserError where one cannot be."""
    able = tuple(name for name in runnable(city) if part != "zero-shot" or entry(name).untrained)
    if models == ALL_MODELS or (models is None and part == "zero-shot"):
        return able
    chosen = models or DEFAULT_MODELS
    for name in chosen:
        if part == "zero-shot" and not entry(name).untrained:
            raise UserError(
                f"--part zero-shot trains nothing, and {name} has to be trained; it measures {', '.join(able)}"
            )
    return chosen


def _check_base(city: City, models: Sequence[str], without: str | None) -> None:
    """Raise UserError where the base would be measured on a network that it was fitted on."""
    if all(entry(name).without is None for name in models):
        return
    network = base.network_of(city.station_ids)
    if network is not None and network != without:
        raise UserError(
            f"{city.path}: at least half of the stations are of {network!r}, which the base model was fitted on; measure it by the "
            f"fit that saw nothing of them: --base-without {network}"
        )


def with_run(
    results: list[dict[str, Any]], run: Run, rows: Mapping[Dependence, dict[str, Any]], about: dict[str, Any]
) -> list[dict[str, Any]]:
    """Results with those of a run, its own and those under a lent dependence; what they held of this run before is out of date."""
    name = {
        "model": run.model,
        "seed": run.seed,
        "subset": run.subset,
        "hold_out_stations": run.hold_out,
        "history_hours": run.history_hours,
        "base_without": run.base_without,
    }
    others = [other for other in results if any(other.get(part) != value for part, value in name.items())]
    return [*others, *(name | row | about for row in rows.values())]


def unscored(city: City, part: str) -> list[str]:
    """Stations of which nothing was observed in the reported part of the data, so that no score speaks of them."""
    panel = Panel.of(city)
    reported = np.concatenate([panel.values[:, split.test] for split in splits_of(part, panel)], axis=1)
    return [name for name, seen in zip(panel.station_ids, np.isfinite(reported).any(1), strict=True) if not seen]


def splits_of(part: str, panel: Panel) -> list[Split]:
    """The splits of the time axis that a part is measured on."""
    if part == "zero-shot":
        return [zero_shot_split(panel.steps, panel.steps_per_day)]
    return [protocol_split(panel.steps)] if part == "test" else validation_folds(panel.steps)


def measure(
    run: Run,
    panel: Panel,
    device: torch.device,
    report: Report = silent,
    fit: Fit | None = None,
    lend: Lend | None = None,
) -> dict[Dependence, dict[str, Any]]:
    """Train and score one run: all that a benchmark file says of it, as it forecasts and under dependences lent to it.

    fit: how a model is trained, where one training is measured in several ways; else `fitted`.
    lend: gives what lends dependence to a model whose stations are drawn apart, one a split.
    """
    places = None if panel.cells is None else panel.positions[_measured(run, len(panel.station_ids))]
    scores, calibrated = Scores(Asked.of(places), _scored_one_by_one(run, panel)), ValueScores()
    train_seconds, sample_seconds, parameters = 0.0, [], 0
    _reset_peak(device)
    splits = splits_of(run.part, panel)
    for index, split in enumerate(splits):
        trained = (fit or fitted)(run, panel, split, device, report)
        parameters = sum(parameter.numel() for parameter in trained.model.parameters())
        train_seconds += trained.seconds
        forecasts = Forecasts(run, trained, panel, split, device)
        lender = lend()[index] if lend and _may_borrow(run, trained.model) else None
        sample_seconds += _score(forecasts, split, lender, scores, calibrated, report)
    total = calibrated.summary()
    about = {
        "conformal": {name: total[name] for name in ("coverage_50", "coverage_90", "ncrps")},
        "parameters": parameters,
        "train_seconds": round(train_seconds, 2),
        "sample_seconds": round(float(np.median(sample_seconds)), 4),
        "peak_mb": round(_peak_mb(device), 1),
    }
    return {name: row | about for name, row in scores.rows().items()}


def check_part(part: str, hold_out_stations: float) -> None:
    """Raise UserError for a part that there is not, or a share of stations that cannot be held out."""
    if part not in PARTS:
        raise UserError(f"--part must be {', '.join(PARTS[:-1])} or {PARTS[-1]}, not {part!r}")
    if not 0 <= hold_out_stations < 1:
        raise UserError(f"--hold-out-stations must be at least 0 and below 1, not {hold_out_stations}")


def _may_borrow(run: Run, model: ForecastModel) -> bool:
    """Whether a model's samples are put into the order of past days, too: where they lack one, and all of the past is known."""
    return not model.joint and run.part != "zero-shot" and not run.hold_out and run.history_hours is None


def lenders(panel: Panel, part: str) -> list[Lender]:
    """What lends dependence in each split of a part, the same dependences in all of them."""
    splits = splits_of(part, panel)
    past = PastWindows.of(panel, max(split.test.start for split in splits))
    past_days = [Lender.before(past, split.test.start, panel.positions) for split in splits]
    every = steps_apart(panel.steps_per_day, ORIGINS_A_DAY)
    able = [
        lender.able(origins_within(split.test, panel.steps_per_day, every))
        for lender, split in zip(past_days, splits, strict=True)
    ]
    return [replace(lender, names=frozenset.intersection(*able)) for lender in past_days]


def _scored_one_by_one(run: Run, panel: Panel) -> tuple[str, ...]:
    """Ids of the measured stations, whose scores are kept one by one: of the first seed, which is enough for a map."""
    if run.seed:
        return ()
    return tuple(panel.station_ids[index] for index in _measured(run, len(panel.station_ids)))


def _measured(run: Run, count: int) -> np.ndarray:
    """Indices of the stations that a run is scored on."""
    return held_out_stations(count, run.hold_out) if run.hold_out else np.arange(count)


def held_out_stations(count: int, share: float) -> np.ndarray:
    """Indices of the stations left out of training: the same for every model and seed."""
    return np.sort(np.random.default_rng(0).permutation(count)[: round(share * count)])


def fitted(run: Run, panel: Panel, split: Split, device: torch.device, report: Report = silent) -> Fitted:
    """Train a run's model on a split, or build one that nothing is fitted in; nothing depends on the run's `history_hours`."""
    panel = seen(run.model, panel)
    count = len(panel.station_ids)
    if run.part == "zero-shot":
        return Fitted(build(run.model, panel, run.seed, run.base_without).to(device).eval(), np.empty(0, int), 0.0)
    trained_on = np.setdiff1d(np.arange(count), held_out_stations(count, run.hold_out))
    known = panel.select(trained_on) if run.hold_out else panel
    model = build(run.model, known, run.seed)
    started = time.perf_counter()
    train(model, known, split, RECIPES[entry(run.model).recipe], run.seed, device, report=report)
    return Fitted(model, trained_on, time.perf_counter() - started)


@dataclass
class SharedTrainings:
    """Trains each model once for all the runs that measure it: a part of its windows, or another form of the same weights.

    pending: the runs still to come.  What one of them is to share is kept in memory until they are done.
    """

    pending: list[Run]
    trainings: dict[tuple[Any, ...], tuple[dict[str, Tensor], Fitted]] = field(default_factory=dict)

    def fit(self, run: Run, panel: Panel, split: Split, device: torch.device, report: Report) -> Fitted:
        """The model as it is trained on a split, or has been."""
        name = (*_training(run), split.test.start)
        if name in self.trainings:
            weights, trained = self.trainings[name]
            model = build(run.model, seen(run.model, panel).select(trained.stations), run.seed)
            model.load_state_dict(weights)
            return trained._replace(model=model.to(device).eval())
        trained = fitted(run, panel, split, device, report)
        if [_training(other) for other in self.pending].count(_training(run)) > 1:
            self.trainings[name] = copy.deepcopy(trained.model.state_dict()), trained
        return trained

    def done(self, run: Run) -> None:
        """A run has been measured."""
        self.pending = [other for other in self.pending if other != run]
        wanted = [_training(other) for other in self.pending]
        self.trainings = {name: training for name, training in self.trainings.items() if name[:-1] in wanted}


def _training(run: Run) -> tuple[Any, ...]:
    """What tells one training from another, beside its split."""
    return (entry(run.model).trained_as or run.model, run.seed, run.part, run.hold_out)


class Forecasts:
    """A fitted model's samples at any origin of a city, as the protocol draws them."""

    def __init__(self, run: Run, trained: Fitted, panel: Panel, split: Split, device: torch.device) -> None:
        self.run, self.device = run, device
        self.panel = panel = seen(run.model, panel)
        self.model = trained.model
        station = np.zeros(len(panel.station_ids), dtype=int)
        station[trained.stations] = np.arange(1, len(trained.stations) + 1)
        history = None if run.history_hours is None else run.history_hours * panel.steps_per_day // 24
        if history is not None and len(split.validation) and not run.hold_out:
            self.model = _recalibrated(self.model, panel, split, history, device)
        known = None if history is None else np.where((station > 0) & bool(run.hold_out), self.model.context, history)
        graph = distance_graph(panel.positions)
        self.windows = Windows(panel, graph, self.model.context, self.model.horizon, station, known)
        self.every = steps_apart(panel.steps_per_day, ORIGINS_A_DAY)
        self.samples = SLOW_SAMPLES if run.subset else SAMPLES
        self.errors: dict[int, Tensor] = {}

    def origins(self, part: range) -> np.ndarray:
        """The origins that a part of the data is measured at."""
        return origins_within(part, self.model.horizon, self.every)[: SLOW_ORIGINS if self.run.subset else None]

    def at(self, origin: int) -> np.ndarray:
        """(S, N, H)."""
        names = self.panel.station_ids
        noise = RowNoise.at([f"{origin}"] * len(names), names, self.panel.cells, self.run.seed, self.device)
        batch = self.windows.batch(np.array([origin])).to(self.device)
        return np.asarray(self.model.sample(batch, self.samples, noise)[0].cpu().numpy())

    def observed(self, origin: int) -> np.ndarray:
        """(N, H), NaN = missing."""
        return self.panel.values[:, origin : origin + self.model.horizon]

    def learn_errors_before(self, origin: int) -> None:
        """Where nothing was fitted: a point forecast's errors are those of all windows that ended before an origin."""
        if not isinstance(self.model, PointModel):
            return
        for earlier in range(self.panel.steps_per_day, origin - self.model.horizon + 1, self.every):
            if earlier not in self.errors:
                self.errors[earlier] = self.model.errors(self.windows.batch(np.array([earlier])).to(self.device))
        self.model.pool_errors([*self.errors.values()])


def _score(
    forecasts: Forecasts, split: Split, lender: Lender | None, scores: Scores, calibrated: ValueScores, report: Report
) -> list[float]:
    """Add the windows of the reported part to `scores`, and to `calibrated` as moved by past ones; the seconds each took.

    What moves them are the windows of the validation part and of the reported one, as far as their outcome is known by then.
    """
    panel, run = forecasts.panel, forecasts.run
    measured = _measured(run, len(panel.station_ids))
    followed, reported = forecasts.origins(split.validation).tolist(), forecasts.origins(split.test).tolist()
    count = len(followed) + len(reported)
    trained = np.setdiff1d(np.arange(len(panel.station_ids)), measured) if run.hold_out else measured
    known, day_steps = panel.values[trained], panel.steps_per_day
    calibration = Calibration.after(known[:, : (followed + reported or [0])[0]], day_steps, day_steps / forecasts.every)
    for number, origin in enumerate(followed):
        report(number, count, "measuring")
        ordered = OrderedSamples.of(samples_last(forecasts.at(origin)[:, trained]))
        calibration.add(origin, ordered)
    threshold = threshold_of(panel, measured, split.test.start)
    seconds = []
    for number, origin in enumerate(reported, start=len(followed)):
        report(number, count, "measuring")
        if run.part == "zero-shot":
            threshold = threshold_of(panel, measured, origin)
            forecasts.learn_errors_before(origin)
        started = time.perf_counter()
        everywhere = forecasts.at(origin)
        seconds.append(time.perf_counter() - started)
        observed = forecasts.observed(origin)[measured]
        clock = panel.future_clock(origin, forecasts.model.horizon)
        day = str(clock[0].date())
        lent = {} if lender is None else lender.ranks(origin, forecasts.samples, run.seed)
        ordered = scores.add(observed, everywhere[:, measured], np.asarray(clock.hour), day, threshold, lent)
        calibration.observe(known[:, :origin])
        move = calibration.map()
        calibrated.add(observed, move.of_ordered(ordered) if move else ordered, day)
        followed_now = OrderedSamples.of(samples_last(everywhere[:, trained])) if run.hold_out else ordered
        calibration.add(origin, followed_now)
    if not seconds:
        raise UserError("the reported part holds no whole day: the city has too little traffic to measure on")
    return seconds


def threshold_of(panel: Panel, stations: np.ndarray, stop: int) -> np.ndarray:
    """(N,) the 95 % quantile of each station's traffic before a step; NaN where there was none."""
    return pd.DataFrame(panel.values[stations, :stop].T).quantile(THRESHOLD).to_numpy()


def _recalibrated(
    model: ForecastModel, known: Panel, split: Split, history: int, device: torch.device
) -> ForecastModel:
    """A copy of a model, calibrated on validation windows with as short a history as it is to be measured on."""
    graph = distance_graph(known.positions)
    station = np.arange(1, len(known.station_ids) + 1)
    windows = Windows(known, graph, model.context, model.horizon, station, history)
    origins = origins_within(split.validation, model.horizon, steps_apart(known.steps_per_day, ORIGINS_A_DAY))
    model = copy.deepcopy(model)
    model.calibrate(batch.to(device) for batch in windows.batches(origins, 1))
    return model


def result_key(run: Run, panel: Panel, encoder: str | None, city: City) -> str:
    """Changes when a result could: config, recipe number, training recipe, protocol, data, embeddings seen, run."""
    panel = seen(run.model, panel)
    model = build(run.model, panel, seed=0, base_without=run.base_without)
    recipe = asdict(RECIPES[entry(run.model).recipe]) if model.trainable else None
    embeddings = (
        None if panel.environment is None else [encoder, hashlib.sha256(panel.environment.tobytes()).hexdigest()]
    )
    said = {name: value for name, value in asdict(run).items() if value is not None}
    parts = [said, model.settings(), model.recipe, recipe, PROTOCOL, city.data_hash, embeddings]
    if entry(run.model).without is not None:
        parts.append(base.sha256())
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def of_these_data(result: Mapping[str, Any], part: str, city: City) -> bool | None:
    """Whether a benchmark file's result was measured on the city's data as they are; None where it does not tell.

    A result without the hash of its data tells by its key alone, which is of other things, too.
    """
    if "data" in result:
        return is_current(result, {"data": city.data_hash})
    try:
        run = Run(
            model=str(result["model"]),
            seed=int(result["seed"]),
            part=part,
            hold_out=float(result.get("hold_out_stations", 0.0)),
            subset=bool(result.get("subset", False)),
            history_hours=result.get("history_hours"),
        )
        panel, encoder = read_panel(city, entry(run.model).embedding)
        return True if result.get("key") == result_key(run, panel, encoder, city) else None
    except (UserError, KeyError, TypeError, ValueError):
        return None


def read_results(out: Path) -> list[dict[str, Any]]:
    """The results in a benchmark file; none where there is no file. Raises UserError where it is something else."""
    if not out.is_file():
        return []
    try:
        return list(read_json(out)["results"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out}: not a benchmark file ({error}); move it away or choose another --out") from error


def write_results(out: Path, document: dict[str, Any]) -> None:
    """A line for each score of a result, however much it tells."""
    rows = [
        "{" + ",\n  ".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in row.items()) + "}"
        for row in document["results"]
    ]
    about = "".join(
        f" {json.dumps(name)}: {json.dumps(part)},\n" for name, part in document.items() if name != "results"
    )
    with replacing(out) as unfinished:
        unfinished.write_text(f'{{\n{about} "results": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n")


def _stage(report: Report, index: int, count: int, run: Run) -> Report:
    """Progress within one run, as a fraction of all runs."""
    return lambda done, total, message: report(
        index + done / max(total, 1), count, f"{run.model}, seed {run.seed}: {message}"
    )


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_mb(device: torch.device) -> float:
    """Peak memory: of the GPU where one is used, else resident memory of this process since it started."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
