"""Made-up results of small size, as benchmarks write them, for the tests of the accuracy page."""

import json
from pathlib import Path
from typing import Any

import numpy as np

MODELS = {  # nCRPS of each made-up model; stid's days are too unlike the others' for more than a tie
    "lec-diff": 0.10,
    "stgcn": 0.13,
    "stid": 0.104,
    "deepar": 0.09,
    "seasonal-naive": 0.2,
    "drop-sgf": 0.12,
    "drop-gei": 0.1001,
    "lec-diff-image": 0.095,
}
DAYS = [f"2025-06-{day:02d}" for day in range(1, 8)]


def result(model: str, level: float, seed: int = 0, stations: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """One result of a model whose nCRPS is about `level`."""
    rng = np.random.default_rng([seed, len(model)])
    shift = rng.normal(0, 0.02, len(DAYS)) if model == "stid" else np.zeros(len(DAYS))
    by_day = dict(zip(DAYS, (level + shift + rng.normal(0, 0.0005, len(DAYS))).tolist(), strict=True))
    hours = {str(hour): {"ncrps": level * (1.3 - 0.02 * hour), "nmae": level * 1.4} for hour in range(24)}
    pit = np.full(20, 0.05) + np.linspace(-0.02, 0.02, 20)
    measured = {
        "mae": 270 * level,
        "rmse": 610 * level,
        "ncrps": level + 0.0004 * seed,
        "ncrps_by_day": by_day,
        "coverage_50": 0.44,
        "coverage_90": 0.91,
        "conformal": {"coverage_50": 0.5, "coverage_90": 0.9, "ncrps": level},
        "pit": pit.tolist(),
        "by_hour": hours,
        "parameters": 1000,
        "train_seconds": 12.5,
        "sample_seconds": 0.25,
        "peak_mb": 800.0,
    }
    if stations and seed == 0:
        errors = level * np.linspace(0.5, 2.0, len(stations))
        measured["ncrps_by_station"] = dict(zip(stations, errors.round(4).tolist(), strict=True))
    return {"model": model, "seed": seed, "subset": False, "hold_out_stations": 0.0} | measured | more


def joint(level: float, held: float, days: int = len(DAYS)) -> dict[str, Any]:
    """Scores of peaks, totals and areas about `level`, whose 90 % intervals hold `held`."""
    inside = {
        day: round(1000 * held) + shift for day, shift in zip(DAYS[:days], (-9, 4, 8, -3, 2, -4, 2), strict=False)
    }
    score = {
        "ncrps": level,
        "coverage_50": held - 0.4,
        "coverage_90": held,
        "scored": 1000 * days,
        "ncrps_by_day": dict.fromkeys(inside, level),
        "inside_50_by_day": {day: count // 2 for day, count in inside.items()},
        "inside_90_by_day": inside,
        "count_by_day": dict.fromkeys(inside, 1000),
    }
    names = ("step", "day_peak", "day_total", "area_5", "area_all")
    return {name: score | {"ncrps": level * (1 - 0.1 * at)} for at, name in enumerate(names)}


def city_results(stations: tuple[str, ...] = (), seeds: int = 2) -> list[dict[str, Any]]:
    """Every made-up model with its seeds, stations held out, and a subset for what is slow."""
    rows = [
        result(model, level, seed, stations)
        for model, level in MODELS.items()
        for seed in range(1 if model == "seasonal-naive" else seeds)
    ]
    for model, level in (("lec-diff", 0.11), ("seasonal-naive", 0.21)):
        rows.append(result(model, level, hold_out_stations=0.2))
        rows.append(result(model, 1.2 * level, hold_out_stations=0.2, history_hours=24))
    return rows + [result(model, level, subset=True) for model, level in (("lec-diff", 0.1), ("timegrad", 0.15))]


def benchmark(city: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    """A benchmark file."""
    return {"city": city, "protocol": 1, "part": "test", "device": "CPU, 2 threads", "results": results}


def surroundings() -> dict[str, Any]:
    """The study of what surroundings add: clear for stations never seen, a tie otherwise."""
    rows = []
    for held_out in (0.0, 0.2):
        for history in (None, 24):
            gain = 0.02 if held_out else 0.0
            conditions = {"hold_out_stations": held_out, "history_hours": history}
            rows += [result("lec-diff", 0.1, seed, **conditions) for seed in (0, 1)]
            rows += [result("drop-gei", 0.1 + gain, seed, **conditions) for seed in (0, 1)]
            rows += [result("shuffled-gei", 0.1 + 1.1 * gain, seed, **conditions) for seed in (0, 1)]
    return benchmark("Gulfmouth", rows)


def history_effect() -> dict[str, Any]:
    """The study of surroundings by the length of the history: much without any, nothing with all of it."""
    rows = []
    for history, gain in ((0, 0.02), (24, 0.01), (168, 0.002), (None, 0.0)):
        conditions = {"hold_out_stations": 0.2, "history_hours": history}
        for name, worse in (("drop-gei", gain), ("lec-diff", 0.0), ("lec-diff-text", gain / 2), ("shuffled-gei", gain)):
            rows += [result(name, 0.1 + worse, seed, **conditions) for seed in (0, 1)]
    return benchmark("Gulfmouth", rows)


def samplers() -> dict[str, Any]:
    """The study of denoising steps."""
    rows = [
        {
            "city": city,
            "sampler": sampler,
            "steps": steps,
            "evaluations": steps if sampler != "heun" else 2 * steps - 1,
            "ncrps": level * (1 + start / steps**2),
        }
        for city, level in (("Milan", 0.09), ("Gulfmouth", 0.1))
        for sampler, start in (("ancestral", 3.0), ("ddim", 1.0), ("heun", 0.8), ("dpm-solver", 0.5))
        for steps in (1, 2, 4, 8, 16, 100)
    ]
    return {"sampler": "dpm-solver", "steps": 8, "results": rows}


def latency() -> dict[str, Any]:
    """The study of latency."""
    rows = [
        {
            "model": model,
            "device": device,
            "stations": stations,
            "seconds": stations * 48 * rate / 1e6,
            "us_per_station_step": rate,
            "peak_mb": 900.0,
            "whole": model != "timegrad",
        }
        for device, model, rate in (
            ("CPU, 2 threads", "lec-diff", 30.0),
            ("NVIDIA H100", "lec-diff", 1.0),
            ("CPU, 2 threads", "timegrad", 9000.0),
            ("CPU, 2 threads", "deepar", 400.0),
        )
        for stations in (100, 1000, 8000)
    ]
    single = {"stations": 1, "network": 8000, "seconds": 0.042, "us_per_station_step": 875.0}
    return {"samples": 100, "steps": 48, "results": [*rows, rows[0] | single]}


def write_all(folder: Path, stations: tuple[str, ...] = ()) -> None:
    """A whole folder of results."""
    documents = {
        "milan": benchmark("Milan", [row for row in city_results() if row["model"] != "deepar"]),
        "peers/milan": benchmark("Milan", [row for row in city_results() if row["model"] == "deepar"]),
        "demo": benchmark("Gulfmouth", city_results(stations)),
        "environment_effect": surroundings(),
        "history_effect": history_effect(),
        "samplers": samplers(),
        "latency": latency(),
    }
    for name, document in documents.items():
        write(folder / f"{name}.json", document)


def write(file: Path, document: Any) -> None:
    """One result."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))
