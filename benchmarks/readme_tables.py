"""Write README's tables from the committed results, between its `<!-- table:… -->` marks; no figure is typed by hand.

    python benchmarks/readme_tables.py [--check]

With --check nothing is written, and the exit status is 1 where README is not what the results say.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lecdiff_core.results import paired_difference

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
CITIES = {"milan": "Milan", "nanjing": "Nanjing", "demo": "Demo city"}
LABELS = {
    "lec-diff": "**LEC-Diff**",
    "adaptive-climatology": "Adaptive climatology",
    "climatology": "Climatology",
    "seasonal-naive": "Yesterday",
}
MEASURES = ("ncrps", "mae", "rmse", "coverage_50", "coverage_90")


def accuracy_table() -> str:
    """One row a city and model: mean over seeds, ± standard deviation where there are several."""
    lines = [
        "| City | Model | nCRPS | MAE | RMSE | in 50 % | in 90 % | nCRPS against LEC-Diff |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, title in CITIES.items():
        file = RESULTS / f"{name}.json"
        if not file.is_file():
            continue
        by_model = _by_model(json.loads(file.read_text())["results"])
        for model, label in LABELS.items():
            if model in by_model:
                lines.append(_row(title, label, by_model[model], by_model["lec-diff"], model == "lec-diff"))
    return "\n".join(lines)


def _by_model(results: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    models: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        if not result.get("subset") and not result.get("hold_out_stations"):
            models.setdefault(result["model"], []).append(result)
    return models


def _row(city: str, label: str, runs: list[dict[str, Any]], ours: list[dict[str, Any]], is_ours: bool) -> str:
    ncrps = [run["ncrps"] for run in runs]
    spread = f" ± {np.std(ncrps, ddof=1):.4f}" if len(runs) > 1 else ""
    cells = [
        f"{np.mean(ncrps):.4f}{spread}",
        *(f"{np.mean([run[name] for run in runs]):.4g}" for name in ("mae", "rmse")),
    ]
    cells += [f"{np.mean([run[name] for run in runs]):.0%}" for name in ("coverage_50", "coverage_90")]
    return f"| {city} | {label} | {' | '.join(cells)} | {'' if is_ours else _verdict(runs, ours)} |"


def _verdict(other: list[dict[str, Any]], ours: list[dict[str, Any]]) -> str:
    """Paired by day: a win or a loss of LEC-Diff is more than two standard errors, else a tie."""
    difference, error = paired_difference(_days(ours), _days(other))
    change = difference / np.mean([run["ncrps"] for run in other])
    if abs(difference) <= 2 * error:
        return f"tie ({change:+.1%})"
    return f"LEC-Diff {'wins' if difference < 0 else 'loses'} ({change:+.1%})"


def _days(runs: list[dict[str, Any]]) -> dict[str, float]:
    days = runs[0]["ncrps_by_day"].keys()
    return {day: float(np.mean([run["ncrps_by_day"][day] for run in runs])) for day in days}


def measured_table() -> str:
    """One row a measured promise: what, figure, where it comes from."""
    lines = ["| What | Measured | Script |", "|---|---|---|"]
    for file, describe in MEASURED.items():
        if (RESULTS / file).is_file():
            what, figure, script = describe(json.loads((RESULTS / file).read_text()))
            lines.append(f"| {what} | {figure} | `benchmarks/{script}` |")
    return "\n".join(lines)


MEASURED = {
    "import.json": lambda result: (
        f"Import {result['stations']:,} stations × {result['days']} days ({result['rows'] / 1e6:.0f} million rows, Parquet)",
        f"{result['seconds']:.0f} s, {result['peak_resident_gib']:.1f} GiB",
        "import_speed.py",
    ),
    "training_scale.json": lambda result: (
        f"One training epoch on {result['stations']:,} stations × {result['days']} days",
        f"{result['epoch_seconds']:.0f} s, {result['peak_gib']:.1f} GiB",
        "training_scale.py",
    ),
    "click_to_chart.json": lambda result: (
        "Click to chart, server side, warm, 100 samples",
        f"median {result['median_ms']:.0f} ms, 95 % within {result['p95_ms']:.0f} ms",
        "click_to_chart.py",
    ),
    "decoders.json": lambda result: (
        "Joint against autoregressive decoder, Milan, validation folds",
        ", ".join(
            f"{run['decoder']} nCRPS {run['ncrps']:.4f} at {run['sample_seconds']:.2f} s" for run in result["results"]
        ),
        "decoders.py",
    ),
}
TABLES = {"accuracy": accuracy_table, "measured": measured_table}


def filled(text: str) -> str:
    """README with every table between its marks made anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- table:{name} -->", f"<!-- /table:{name} -->"
        if start in text:
            before, rest = text.split(start, 1)
            text = f"{before}{start}\n{make()}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> None:
    """Fill README, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = README.read_text()
    wanted = filled(text)
    if parser.parse_args().check:
        sys.exit(
            0 if text == wanted else "README.md is not what the results say: run python benchmarks/readme_tables.py"
        )
    README.write_text(wanted)


if __name__ == "__main__":
    main()
