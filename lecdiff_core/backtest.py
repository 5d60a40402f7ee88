"""The measurement protocol (version 1): every model on the same windows, scored alike, results kept and not computed twice."""

import copy
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lecdiff_core.bounded import read_json
from lecdiff_core.city import history
from lecdiff_core.city.folder import City
from lecdiff_core.city.storage import replacing
from lecdiff_core.city.windows import (
    Panel,
    Split,
    Windows,
    origins_within,
    protocol_split,
    steps_apart,
    validation_folds,
)
from lecdiff_core.conformal import ConformalScores, Widening
from lecdiff_core.devices import choose_device, device_label
from lecdiff_core.environment.table import read_panel
from lecdiff_core.errors import UserError
from lecdiff_core.fusion.graph import distance_graph
from lecdiff_core.metrics import Scores
from lecdiff_core.models.catalogue import build, entry, runnable, seen
from lecdiff_core.models.protocol import ForecastModel, RowNoise
from lecdiff_core.names import OURS, SLOW, YARDSTICKS
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import is_current
from lecdiff_core.training import ORIGINS_A_DAY, RECIPES, train

PROTOCOL = 1
SAMPLES = 100
SLOW_SAMPLES, SLOW_ORIGINS, SLOW_SEEDS = 20, 4, 1
DEFAULT_MODELS = (OURS, *YARDSTICKS)
ALL_MODELS = ("all",)  # in place of names: every model that the city can be measured with


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


class Fitted(NamedTuple):
    """A trained model, the indices of the stations it was trained on, and the seconds it took."""

    model: ForecastModel
    stations: np.ndarray
    seconds: float


Fit = Callable[[Run, Panel, Split, torch.device, Report], Fitted]


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
) -> dict[str, Any]:
    """Measure models on a city and keep the results in `out` (JSON); results that are there already are not computed again.

    part: "validation" (four expanding folds inside the first 80 %, for choosing) or "test" (for the table).
    hold_out_stations: share of stations left out of training altogether and measured alone.
    models: names, ALL_MODELS, or None for the quick ones.
    history_hours: forecasts are made with only so much past of the stations held out, as of new ones among old ones; where none
    are, of every station, and the model is calibrated so. Training sees all of it.
    """
    if part not in ("validation", "test"):
        raise UserError(f"--part must be validation or test, not {part!r}")
    if not 0 <= hold_out_stations < 1:
        raise UserError(f"--hold-out-stations must be at least 0 and below 1, not {hold_out_stations}")
    if history_hours is not None and history_hours < 1:
        raise UserError(f"--history-hours must be at least 1, not {history_hours}")
    history.require("benchmark", city)
    chosen = runnable(city) if models == ALL_MODELS else models or DEFAULT_MODELS
    where = choose_device(device)
    subset = any(model in SLOW for model in chosen)
    runs = [
        Run(model, seed, part, hold_out_stations, subset_only, history_hours)
        for subset_only in ([False, True] if subset else [False])
        for model in chosen
        if subset_only or model not in SLOW
        for seed in range(SLOW_SEEDS if subset_only else seeds)
    ]
    results = _read_results(out)
    document = {"city": city.meta.name, "protocol": PROTOCOL, "part": part, "device": device_label(where)}
    for index, run in enumerate(runs):
        panel, encoder = read_panel(city, entry(run.model).embedding)
        key = result_key(run, panel, city, encoder)
        if not any(result["key"] == key for result in results):
            # The name of a result; an older one of this name, under another key, is out of date.
            result = {
                "model": run.model,
                "seed": run.seed,
                "subset": run.subset,
                "hold_out_stations": run.hold_out,
                "history_hours": run.history_hours,
            }
            scores = measure(run, panel, where, _stage(report, index, len(runs), run))
            measured = result | scores | {"key": key, "data": city.data_hash}
            results = _read_results(out)  # again: another process may have measured other models meanwhile
            results = [other for other in results if any(other.get(name) != value for name, value in result.items())]
            results.append(measured)
            _write(out, document | {"results": results})
        report(index + 1, len(runs), f"{run.model}, seed {run.seed}")
    return document | {"results": results}


def unscored(city: City, part: str) -> list[str]:
    """Stations of which nothing was observed in the reported part of the data, so that no score speaks of them."""
    panel = Panel.of(city)
    splits = [protocol_split(panel.steps)] if part == "test" else validation_folds(panel.steps)
    reported = np.concatenate([panel.values[:, split.test] for split in splits], axis=1)
    return [name for name, seen in zip(panel.station_ids, np.isfinite(reported).any(1), strict=True) if not seen]


def measure(
    run: Run, panel: Panel, device: torch.device, report: Report = silent, fit: Fit | None = None
) -> dict[str, Any]:
    """Train and score one run: all that a benchmark file says of it.

    fit: how a model is trained, where one training is measured in several ways; else `fitted`.
    """
    splits = [protocol_split(panel.steps)] if run.part == "test" else validation_folds(panel.steps)
    scores = Scores(stations=_told_apart(run, panel))
    conformal_scores = Scores()
    train_seconds, sample_seconds, parameters = 0.0, [], 0
    _reset_peak(device)
    for split in splits:
        model, trained_on, trained_seconds = (fit or fitted)(run, panel, split, device, report)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        train_seconds += trained_seconds
        sample_seconds += _score(run, model, panel, split, trained_on, device, scores, conformal_scores, report)
    summary = scores.summary()
    widened = conformal_scores.summary()
    return summary | {
        "conformal": {name: widened[name] for name in ("coverage_50", "coverage_90", "ncrps")},
        "parameters": parameters,
        "train_seconds": round(train_seconds, 2),
        "sample_seconds": round(float(np.median(sample_seconds)), 4),
        "peak_mb": round(_peak_mb(device), 1),
    }


def _told_apart(run: Run, panel: Panel) -> tuple[str, ...]:
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
    """Train a run's model on a split; nothing depends on the run's `history_hours`."""
    panel = seen(run.model, panel)
    count = len(panel.station_ids)
    trained_on = np.setdiff1d(np.arange(count), held_out_stations(count, run.hold_out))
    known = panel.select(trained_on) if run.hold_out else panel
    model = build(run.model, known, run.seed)
    started = time.perf_counter()
    train(model, known, split, RECIPES[entry(run.model).recipe], run.seed, device, report=report)
    return Fitted(model, trained_on, time.perf_counter() - started)


def _score(
    run: Run,
    model: ForecastModel,
    panel: Panel,
    split: Split,
    trained_on: np.ndarray,
    device: torch.device,
    scores: Scores,
    conformal_scores: Scores,
    report: Report,
) -> list[float]:
    """Add the windows of the reported part to `scores`, plain and widened; returns the seconds each took."""
    panel = seen(run.model, panel)
    graph = distance_graph(panel.positions)
    station = np.zeros(len(panel.station_ids), dtype=int)
    station[trained_on] = np.arange(1, len(trained_on) + 1)
    history = None if run.history_hours is None else run.history_hours * panel.steps_per_day // 24
    if history is not None and not run.hold_out:
        model = _recalibrated(model, panel, split, history, device)
    known = None if history is None else np.where((station > 0) & bool(run.hold_out), model.context, history)
    windows = Windows(panel, graph.edge_index, graph.edge_weight, model.context, model.horizon, station, known)
    every = steps_apart(panel.steps_per_day, ORIGINS_A_DAY)
    samples = SLOW_SAMPLES if run.subset else SAMPLES
    measured = _measured(run, len(station))

    def forecast(origin: int) -> np.ndarray:
        noise = RowNoise.at([f"{origin}"] * len(station), panel.station_ids, panel.cells, run.seed, device)
        return model.sample(windows.batch(np.array([origin])).to(device), samples, noise)[0].cpu().numpy()

    calibration = ConformalScores.empty()
    limit = SLOW_ORIGINS if run.subset else None
    calibrated, reported = (
        origins_within(part, model.horizon, every)[:limit] for part in (split.validation, split.test)
    )
    count = len(calibrated) + len(reported)
    for number, origin in enumerate(calibrated):
        report(number, count, "measuring")
        calibration.add(panel.values[trained_on, origin : origin + model.horizon], forecast(origin)[:, trained_on])
    widening: Widening = calibration.widening()
    seconds = []
    for number, origin in enumerate(reported, start=len(calibrated)):
        report(number, count, "measuring")
        started = time.perf_counter()
        drawn = forecast(origin)[:, measured]
        seconds.append(time.perf_counter() - started)
        observed = panel.values[measured, origin : origin + model.horizon]
        clock = panel.future_clock(int(origin), model.horizon)
        hours, day = np.asarray(clock.hour), str(clock[0].date())
        scores.add(observed, drawn, hours, day)
        conformal_scores.add(observed, widening.apply(drawn), hours, day)
    if not seconds:
        raise UserError("the reported part holds no whole day: the city has too little traffic to measure on")
    return seconds


def _recalibrated(
    model: ForecastModel, known: Panel, split: Split, history: int, device: torch.device
) -> ForecastModel:
    """A copy of a model, calibrated on validation windows with as short a history as it is to be measured on."""
    graph = distance_graph(known.positions)
    station = np.arange(1, len(known.station_ids) + 1)
    windows = Windows(known, graph.edge_index, graph.edge_weight, model.context, model.horizon, station, history)
    origins = origins_within(split.validation, model.horizon, steps_apart(known.steps_per_day, ORIGINS_A_DAY))
    model = copy.deepcopy(model)
    model.calibrate(batch.to(device) for batch in windows.batches(origins, 1))
    return model


def result_key(run: Run, panel: Panel, city: City, encoder: str | None) -> str:
    """Changes when a result could: config, recipe number, training recipe, protocol, data, embeddings seen, run."""
    panel = seen(run.model, panel)
    model = build(run.model, panel, seed=0)
    recipe = asdict(RECIPES[entry(run.model).recipe]) if model.trainable else None
    embeddings = (
        None if panel.environment is None else [encoder, hashlib.sha256(panel.environment.tobytes()).hexdigest()]
    )
    said = {name: value for name, value in asdict(run).items() if value is not None}
    parts = [said, model.settings(), model.recipe, recipe, PROTOCOL, city.data_hash, embeddings]
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
        return True if result.get("key") == result_key(run, panel, city, encoder) else None
    except (UserError, KeyError, TypeError, ValueError):
        return None


def _read_results(out: Path) -> list[dict[str, Any]]:
    if not out.is_file():
        return []
    try:
        return list(read_json(out)["results"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out}: not a benchmark file ({error}); move it away or choose another --out") from error


def _write(out: Path, document: dict[str, Any]) -> None:
    with replacing(out) as unfinished:
        unfinished.write_text(json.dumps(document, indent=1) + "\n")


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
