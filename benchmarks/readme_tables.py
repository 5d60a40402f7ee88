"""Write the tables of README.md, docs/results.md and docs/experiments.md from the committed results, between their marks.

    python -m benchmarks.readme_tables [--check]

No figure is typed by hand. With --check nothing is written, and the exit status is 1 where a page is not what the results say.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lecdiff_core.evaluation.results import (
    CITIES,
    SAMPLER_LABELS,
    WHOLE,
    Benchmark,
    Conditions,
    Model,
    mean_over_networks,
    models,
    older,
    over_cities,
    read_benchmark,
    read_committed,
    read_latency_study,
    read_sampler_study,
    verdict,
)
from lecdiff_core.models.names import ABLATIONS, BASE, OURS, label_of
from pages.parts.data import findings
from pages.parts.look import glossary

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "results.md",
    ROOT / "docs" / "experiments.md",
    ROOT / "docs" / "glossary.md",
    ROOT / "docs" / "sites.md",
)
TITLES = {
    "milan": "Milan",
    "nanjing": "Nanjing",
    "demo": "Demo city",
    "lte-year": "Nine LTE cells",
    "town-300": "A generated town of 300",
    "nanchang": "Nanchang",
    "beijing-5g": "Beijing 5G",
    "milan-grid400-a": "Milan's grid, first week",
    "milan-grid400-b": "Milan's grid, second week",
    "hangzhou": "Hangzhou",
    "town-301": "Generated town 301",
    "town-302": "Generated town 302",
}
WITH_SURROUNDINGS = "**Surroundings, and the stations around where places are known**"
SUBSET = Conditions(subset=True)
UNSEEN = {
    "all stations in training": WHOLE,
    "never seen": Conditions(hold_out_stations=0.2),
    "never seen, last 24 h only": Conditions(hold_out_stations=0.2, history_hours=24),
}
HISTORIES = UNSEEN | {"all in training, last 24 h only": Conditions(history_hours=24)}
Row = Sequence[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def measured_cities() -> dict[str, Benchmark]:
    """The committed results by the title of their city."""
    read = {TITLES[name]: read_committed(RESULTS, name) for name in CITIES}
    return {title: benchmark for title, benchmark in read.items() if benchmark is not None}


def whole(benchmark: Benchmark, ablations: bool, conditions: Conditions = WHOLE) -> dict[str, Model]:
    """LEC-Diff with the ablations, or with all others, under the same conditions, the best first."""
    measured = models(benchmark.results, conditions)
    return {name: model for name, model in measured.items() if name == OURS or (name in ABLATIONS) == ablations}


def ncrps(model: Model) -> str:
    """Mean over seeds, ± standard deviation where there are several."""
    spread = model.spread("ncrps")
    return f"{model.mean('ncrps'):.4f}" + (f" ± {spread:.4f}" if spread is not None else "")


def named(model: Model) -> str:
    """The model's name, ours in bold."""
    return f"**{model.label}**" if model.name == OURS else model.label


def against(ours: Model | None, model: Model) -> str:
    """LEC-Diff's verdict against a model, with the change of its nCRPS."""
    if ours is None or model is ours:
        return ""
    said = verdict(ours, model)
    return f"{said.outcome} ({signed(said.change)})"


def signed(change: float) -> str:
    """A change in percent with its sign; none where it rounds to nothing."""
    return f"{change:+z.1%}".replace("+0.0%", "0.0%")


def side_by_side(head: str, names: Iterable[str], cities: dict[str, dict[str, Model]]) -> str:
    """One row a model, one column a city: nCRPS and LEC-Diff's verdict."""

    def cell(measured: dict[str, Model], name: str) -> str:
        if name not in measured:
            return "–"
        said = against(measured.get(OURS), measured[name])
        return f"{ncrps(measured[name])}{'; ' + said if said else ''}{' †' if older(measured, name) else ''}"

    def label(name: str) -> str:
        return f"**{label_of(name)}**" if name == OURS else label_of(name)

    return table(
        [head, *cities], ([label(name), *(cell(measured, name) for measured in cities.values())] for name in names)
    )


# ---- README


def overview() -> str:
    """One row a model, one column a city: nCRPS and LEC-Diff's verdict; ordered by the mean ratio to the city's best."""
    cities = {title: whole(benchmark, ablations=False) for title, benchmark in measured_cities().items()}
    names = {name for measured in cities.values() for name in measured}

    def rank(name: str) -> float:
        ratios = [
            measured[name].mean("ncrps") / next(iter(measured.values())).mean("ncrps")
            for measured in cities.values()
            if name in measured
        ]
        return float(np.mean(ratios))

    return side_by_side("Model", sorted(names, key=rank), cities)


def standing() -> str:
    """In words, how LEC-Diff stands in each city."""
    return "\n".join(
        f"- {title}: {plain(findings.standing(whole(benchmark, ablations=False)))}"
        for title, benchmark in measured_cities().items()
    )


def plain(sentence: str) -> str:
    """A sentence of the page with ordinary spaces."""
    return sentence.replace("\N{NARROW NO-BREAK SPACE}", " ")


def ablations() -> str:
    """One row a part left out or exchanged, one column a city: nCRPS, and LEC-Diff's verdict against it."""
    cities = {title: whole(benchmark, ablations=True) for title, benchmark in measured_cities().items()}
    cities = {title: measured for title, measured in cities.items() if len(measured) > 1 and OURS in measured}
    names = [name for name in (OURS, *ABLATIONS) if any(name in measured for measured in cities.values())]
    return side_by_side("LEC-Diff with", names, cities)


def parts() -> str:
    """In words, what each part of LEC-Diff is worth in each city."""
    said = []
    for title, benchmark in measured_cities().items():
        measured = whole(benchmark, ablations=True)
        changed = [model for name, model in measured.items() if name != OURS]
        if OURS in measured and changed:
            said.append(f"- {title}: {plain(findings.ablations(measured[OURS], changed))}")
    return "\n".join(said)


def coverage() -> str:
    """What LEC-Diff's intervals hold in each city, raw and stretched by what the validation part showed."""
    rows = []
    for title, benchmark in measured_cities().items():
        ours = models(benchmark.results).get(OURS)
        if ours:
            rows.append(
                [
                    title,
                    *(share(ours.mean(name)) for name in INTERVALS),
                    *(share(ours.widened(name)) for name in INTERVALS),
                ]
            )
    return table(["City", "in 50 %", "in 90 %", "in 50 %, conformal", "in 90 %, conformal"], rows)


SUMS = {
    "step": "a station, a step",
    "day_peak": "its day's peak",
    "day_total": "its day's total",
    "area_5": "5 stations, a step",
    "area_20": "20 stations, a step",
    "area_20_peak": "their peak",
    "area_all": "the whole network, a step",
}
BRIEFLY = ("step", "day_peak", "day_total", "area_20", "area_all")
DEPENDENCES = {
    "own": "",
    "schaake": ", in the order of past days (Schaake)",
    "gaussian": ", in that of a Gaussian field",
}


Sums = dict[str, tuple[float, ...]]  # by score, nCRPS and coverage of 50 % and 90 %


def result_file(city: str, part: str) -> Path:
    """The committed results of a city."""
    return RESULTS / (f"{city}.json" if part == "test" else f"{city}-{part}.json")


def sums(part: str, scores: Iterable[str], brief: Iterable[str] = ()) -> str:
    """What peaks, totals and areas of samples are worth, by city: nCRPS, and in brackets what the 90 % interval holds."""
    scores, parts = list(scores), []
    for name, title in TITLES.items():
        file = result_file(name, part)
        rows = _rows_of_sums(file, scores) if file.is_file() else {}
        rows = {key: cells for key, cells in rows.items() if not brief or key[0] in brief}
        if rows:
            lines = [[f"{_bold(model)}{DEPENDENCES[order]}", *cells] for (model, order), cells in rows.items()]
            parts.append(table([title, *(SUMS[score] for score in scores)], lines))
    return "\n\n".join(parts)


def _rows_of_sums(file: Path, scores: list[str]) -> dict[tuple[str, str], list[str]]:
    """Cells by model and dependence, means over seeds, of the results that have these scores."""

    def cell(means: Sums, score: str) -> str:
        if score not in means:
            return "–"
        mean, _, held = means[score]
        return f"{mean:.4f} ({held:.0%})"

    return {key: [cell(means, score) for score in scores] for key, means in _means_of_sums(file).items()}


def _bold(model: str) -> str:
    return f"**{label_of(model)}**" if model == OURS else label_of(model)


def across(part: str, briefly: bool = False, least: int = 3) -> str:
    """LEC-Diff (zero-shot: the base) against every other row over cities, networks counted alike; and what its intervals hold."""
    ours = OURS if part == "test" else BASE
    means: dict[tuple[str, str], dict[str, Sums]] = {}
    for city in TITLES:
        file = result_file(city, part)
        for key, scores in (_means_of_sums(file) if file.is_file() else {}).items():
            for score, values in scores.items():
                means.setdefault(key, {}).setdefault(score, {})[city] = values
    mine = means.pop((ours, "own"))

    def cell(other: dict[str, Sums], score: str) -> str:
        shared = mine.get(score, {}).keys() & other.get(score, {}).keys()
        if not shared:
            return "–"
        said = over_cities({city: mine[score][city][0] / other[score][city][0] - 1 for city in sorted(shared)})
        return f"{signed(said.change)}, {said.outcome} ({said.networks})"

    def held(score: str) -> str:
        values_of_both = [
            mean_over_networks({city: values[place] for city, values in mine[score].items()}) for place in (1, 2)
        ]
        return " / ".join(share(value) for value in values_of_both)

    rows = [[f"**{label_of(ours)}**: in 50 % / in 90 %", *(held(score) for score in BRIEFLY)]]
    for (model, order), other in sorted(means.items(), key=lambda item: (item[0][0] not in RELATED, item[0])):
        shown = model in BRIEFLY_TOLD and (order == "own" or model in RELATED)
        if len(other.get("step", {})) >= least and (shown or not briefly):
            rows.append([f"{label_of(model)}{DEPENDENCES[order]}", *(cell(other, score) for score in BRIEFLY)])
    return table(["", *(SUMS[score] for score in BRIEFLY)], rows)


def _means_of_sums(file: Path) -> dict[tuple[str, str], Sums]:
    """By model and dependence, of each score the mean over seeds of nCRPS and coverage of 50 % and 90 %."""
    by_row: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in json.loads(file.read_text("utf-8"))["results"]:
        if "step" in result and not (result["subset"] or result["hold_out_stations"] or result["history_hours"]):
            by_row.setdefault((result["model"], result["dependence"]), []).append(result)
    parts = ("ncrps", "coverage_50", "coverage_90")
    return {
        key: {
            score: tuple(float(np.mean([run[score][part] for run in runs])) for part in parts)
            for score in SUMS
            if score in runs[0]
        }
        for key, runs in by_row.items()
    }


INTERVALS = ("coverage_50", "coverage_90")
BRIEFLY_TOLD = ("lec-diff-independent", "lstm+prior", "stgcn+prior", "stid+prior", "prior-only", "adaptive-climatology")
RELATED = ("lec-diff-independent", "base-independent")  # rows that stand first


def share(value: float | None) -> str:
    """A share as per cent."""
    return "–" if value is None else f"{value:.1%}"


def figures() -> str:
    """One row a measured promise: what, figure, where it comes from."""
    rows = []
    for file, describe in MEASURED.items():
        if (RESULTS / file).is_file():
            what, figure, script = describe(json.loads((RESULTS / file).read_text("utf-8")))
            rows.append([what, figure, f"`benchmarks/{script}`"])
    return table(["What", "Measured", "Script"], rows)


def _latency(document: dict[str, Any]) -> tuple[str, str, str]:
    """The largest network and the single station of one latency file."""
    runs = [run for run in document["results"] if run["model"] == OURS]
    single = min((run["seconds"] for run in runs if run["stations"] == 1), default=float("nan"))
    largest = max(
        (run for run in runs if run["stations"] > 1), key=lambda run: (run["stations"] == 8000, run["stations"])
    )
    return (
        f"A day ahead, {document['samples']} samples, {largest['stations']:,} stations; one station with its neighbours "
        f"({largest['device']})",
        f"{plain(findings.seconds(largest['seconds']))}, {largest['peak_mb'] / 1024:.1f} GiB; {plain(findings.seconds(single))}",
        "speed/latency.py",
    )


MEASURED: dict[str, Callable[[dict[str, Any]], tuple[str, str, str]]] = {
    "import.json": lambda result: (
        f"Import {result['stations']:,} stations × {result['days']} days ({result['rows'] / 1e6:.0f} million rows, Parquet)",
        f"{result['seconds']:.0f} s, {result['peak_resident_gib']:.1f} GiB",
        "speed/import_speed.py",
    ),
    "training_scale.json": lambda result: (
        f"One training epoch on {result['stations']:,} stations × {result['days']} days",
        f"{result['epoch_seconds']:.0f} s, {result['peak_gib']:.1f} GiB",
        "speed/training_scale.py",
    ),
    "latency.json": _latency,
    "latency-gpu.json": _latency,
    "click_to_chart.json": lambda result: (
        "Click to chart, server side, warm, 100 samples",
        f"median {result['median_ms']:.0f} ms, 95 % within {result['p95_ms']:.0f} ms",
        "speed/click_to_chart.py",
    ),
    "decoders.json": lambda result: (
        "Joint against autoregressive decoder, Milan, validation folds",
        ", ".join(
            f"{run['decoder']} nCRPS {run['ncrps']:.4f} at {run['sample_seconds']:.2f} s" for run in result["results"]
        ),
        "accuracy/decoders.py",
    ),
}


# ---- docs/results.md


def full(benchmark: Benchmark, conditions: Conditions) -> str:
    """Every model of a city with all its scores, the best first."""
    measured = models(benchmark.results, conditions)
    ours = measured.get(OURS)
    head = [
        "Model",
        "nCRPS",
        "MAE",
        "RMSE",
        "in 50 %",
        "in 90 %",
        "conformal: in 50 %",
        "in 90 %",
        "energy score",
        "parameters",
    ]
    head += ["trained in", "a forecast in", "seeds", "LEC-Diff against it"]
    rows = []
    for model in measured.values():
        scores = [f"{model.mean(name):.4g}" for name in ("mae", "rmse")]
        held = [share(model.mean(name)) for name in INTERVALS] + [share(model.widened(name)) for name in INTERVALS]
        costs = [number(model.mean("energy_score"), ".4f"), number(model.mean("parameters"), ",.0f")]
        costs += [number(model.mean("train_seconds"), ",.0f", " s"), number(model.mean("sample_seconds"), ",.2f", " s")]
        name = named(model) + (" †" if older(measured, model.name) else "")
        rows.append([name, ncrps(model), *scores, *held, *costs, str(len(model.runs)), against(ours, model)])
    return table(head, rows)


def number(value: float, form: str, unit: str = "") -> str:
    """A number, or a dash where there is none."""
    return f"{value:{form}}{unit}" if np.isfinite(value) else "–"


def city_tables() -> str:
    """The whole table of each city."""
    return "\n\n".join(f"### {title}\n\n{full(benchmark, WHOLE)}" for title, benchmark in measured_cities().items())


def slow_tables() -> str:
    """Models too slow for the whole table, and the others on the same windows."""
    parts = [
        f"### {title}\n\n{full(benchmark, SUBSET)}"
        for title, benchmark in measured_cities().items()
        if models(benchmark.results, SUBSET)
    ]
    return "\n\n".join(parts)


def unseen() -> str:
    """Stations that training never saw, in each city."""
    rows = []
    for title, benchmark in measured_cities().items():
        by_condition = {label: models(benchmark.results, conditions) for label, conditions in UNSEEN.items()}
        names = by_condition["never seen"] or by_condition["never seen, last 24 h only"]
        rows += [
            [title, label_of(name), *(ncrps(by[name]) if name in by else "–" for by in by_condition.values())]
            for name in names
        ]
    return table(["City", "Model", *UNSEEN], rows)


def surroundings() -> str:
    """What knowing a station's surroundings adds, on the demo city."""
    benchmark = read_benchmark(RESULTS / "environment_effect.json")
    rows = []
    for label, conditions in HISTORIES.items():
        measured = models(benchmark.results, conditions)
        rows += [[label, named(model), ncrps(model), against(measured.get(OURS), model)] for model in measured.values()]
    return table(["Stations", "Model", "nCRPS", "LEC-Diff against it"], rows)


def sites() -> str:
    """How well a place without history is told, in each city: ours by relative change against each row."""
    file = RESULTS / "sites.json"
    rows = []
    for name, city in (json.loads(file.read_text("utf-8"))["cities"] if file.is_file() else {}).items():
        for model, row in city["rows"].items():
            against_it = city["differences"].get(model)
            said = f"{against_it['verdict']} ({signed(against_it['change'])})" if against_it else ""
            label = WITH_SURROUNDINGS if model == OURS else label_of(model)
            step, total = row["step"], row["day_total"]
            held = [share(score[f"coverage_{level}"]) for score in (step, total) for level in (50, 90)]
            scores = [f"{step['ncrps']:.4f}", f"{total['ncrps']:.4f}", *held]
            rows.append(
                [TITLES[name], label, *scores, f"{row['level_error']:.3f}", f"{row['profile_error']:.3f}", said]
            )
    head = ["City", "Told from", "nCRPS, a step", "a day's total", "50 %", "90 %", "total 50 %", "total 90 %"]
    return table([*head, "Level", "Profile", "With surroundings against it, a step"], rows)


def history_effect() -> str:
    """What surroundings change by the length of a station's history, on the demo city."""
    file = RESULTS / "history_effect.json"
    lines = json.loads(file.read_text("utf-8"))["comparison"] if file.is_file() else []
    rows = []
    for line in lines:
        hours = line["history_hours"]
        label = "all" if hours is None else f"{hours} h" if hours < 48 else f"{hours // 24} days"
        said = f"{line['against_none']} ({signed(line['change'])})" if "change" in line else ""
        rows.append([label, label_of(line["model"]), f"{line['ncrps']:.4f}", str(line["seeds"]), said])
    return table(["History", "Model", "nCRPS", "Seeds", "Against no surroundings"], rows)


def samplers() -> str:
    """nCRPS against denoising steps, for each sampler and city."""
    study = read_sampler_study(RESULTS / "samplers.json")
    steps = sorted({run.steps for run in study.results})
    by_steps = {(run.city, run.sampler, run.steps): run.ncrps for run in study.results}
    rows = [
        [
            city,
            SAMPLER_LABELS[sampler],
            *(number(by_steps.get((city, sampler, count), np.nan), ".4f") for count in steps),
        ]
        for city, sampler in dict.fromkeys((run.city, run.sampler) for run in study.results)
    ]
    sentences = []
    for city in dict.fromkeys(run.city for run in study.results):
        default, most = study.default(city), study.most(city)
        if default and most:
            sentences.append(f"{city}: {plain(findings.denoising(default, most))}")
    return "\n\n".join(
        [table(["City", "Sampler", *(f"{count} step{'s' if count > 1 else ''}" for count in steps)], rows), *sentences]
    )


def latency() -> str:
    """Seconds for a forecast of a whole network, its time a station and step, and its memory."""
    study = read_latency_study(RESULTS)
    assert study is not None
    rows = []
    for run in [*study.singles, *study.networks]:
        whose = "1, with its neighbours" if run in study.singles else f"{run.stations:,}"
        memory = "–" if run.peak_mb is None else f"{run.peak_mb / 1024:.2f} GiB"
        taken = plain(findings.seconds(run.seconds)) + ("" if run.whole else " (worked out)")
        fastest = "–" if run.fastest_seconds is None else plain(findings.seconds(run.fastest_seconds))
        label = label_of(run.model)
        each = f"{run.us_per_station_step:,.1f}"
        rows.append([label, run.device, whose, taken, fastest, each, memory, share(run.stolen)])
    head = [
        "Model",
        "Device",
        "Stations",
        "Time",
        "Fastest",
        "µs a station and step",
        "Peak memory",
        "Taken by the host",
    ]
    return table(head, rows)


def embedding_choice() -> str:
    """Validation CRPS with each embedding, over seeds."""
    document = json.loads((RESULTS / "embedding_choice.json").read_text())
    scores: dict[str, list[float]] = {}
    for training in document["trainings"]:
        scores.setdefault(training["model"], []).append(training["validation_crps"])
    rows = []
    for model, errors in sorted(scores.items(), key=lambda item: float(np.mean(item[1]))):
        spread = f" ± {np.std(errors, ddof=1):.4f}" if len(errors) > 1 else ""
        rows.append([label_of(model), f"{np.mean(errors):.4f}{spread}", f"{len(errors)}"])
    return table(["Embedding", "CRPS over traffic, validation", "Seeds"], rows)


def folds() -> str:
    """LEC-Diff beside the networks around its seasonal mean, on the validation folds: nCRPS and LEC-Diff's verdict."""
    files = {TITLES[name]: RESULTS / f"{name}-validation.json" for name in CITIES}
    cities = {title: whole(read_benchmark(file), ablations=False) for title, file in files.items() if file.is_file()}
    names = dict.fromkeys(name for measured in cities.values() for name in measured)
    return side_by_side("Model", names, cities)


def trials() -> str:
    """LEC-Diff with one thing changed, by validation folds: nCRPS of each city, and how far that is from the recipe's."""
    runs = json.loads((RESULTS / "trials.json").read_text())["trials"]
    mean: dict[tuple[str, str], float] = {}
    for trial, city in {(run["trial"], run["city"]) for run in runs}:
        mean[trial, city] = float(
            np.mean([run["ncrps"] for run in runs if (run["trial"], run["city"]) == (trial, city)])
        )
    said = {run["trial"]: run["what"] for run in runs}
    cities = [name for name in CITIES if ("recipe", name) in mean]
    order = sorted(said, key=lambda trial: (trial != "recipe", -mean.get((trial, cities[0]), 0.0)))

    def cell(trial: str, city: str) -> str:
        if (trial, city) not in mean:
            return "–"
        change = mean[trial, city] / mean["recipe", city] - 1
        return f"{mean[trial, city]:.4f}" + (f" ({signed(change)})" if trial != "recipe" else "")

    return table(
        ["Trial", *(TITLES[city] for city in cities)],
        ([said[trial], *(cell(trial, city) for city in cities)] for trial in order),
    )


TABLES = {
    "accuracy": overview,
    "standing": standing,
    "ablations": ablations,
    "parts": parts,
    "coverage": coverage,
    "sums": lambda: sums("test", BRIEFLY, (OURS, "lec-diff-independent")),
    "sums-all": lambda: sums("test", SUMS),
    "zero-shot": lambda: sums("zero-shot", BRIEFLY),
    "over-cities": lambda: across("test"),
    "over-cities-briefly": lambda: across("test", briefly=True),
    "over-cities-zero-shot": lambda: across("zero-shot"),
    "measured": figures,
    "cities": city_tables,
    "slow": slow_tables,
    "unseen": unseen,
    "surroundings": surroundings,
    "sites": sites,
    "history-effect": history_effect,
    "samplers": samplers,
    "latency": latency,
    "trials": trials,
    "folds": folds,
    "choice": embedding_choice,
    "glossary": lambda: table(["Term", "Meaning"], glossary.terms()),
}


def filled(text: str) -> str:
    """A page with every table between its marks made again."""
    for name, make in TABLES.items():
        start, end = f"<!-- table:{name} -->", f"<!-- /table:{name} -->"
        if start in text:
            before, rest = text.split(start, 1)
            text = f"{before}{start}\n{make()}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> None:
    """Fill the pages, or with --check say whether they are up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check, stale = parser.parse_args().check, []
    for page in PAGES:
        text = page.read_text("utf-8")
        wanted = filled(text)
        if text != wanted:
            stale.append(page.name)
            if not check:
                page.write_text(wanted, "utf-8")
    if check and stale:
        sys.exit(f"{' and '.join(stale)}: not what the results say; run python -m benchmarks.readme_tables")


if __name__ == "__main__":
    main()
