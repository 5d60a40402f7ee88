"""Whether samples of many stations and steps belong together: the table of peaks, totals and areas on the accuracy page."""

from collections.abc import Mapping

from markupsafe import Markup

from lecdiff_core.evaluation.results import Benchmark, Conditions, Model, models
from lecdiff_core.models.names import INDEPENDENT, OURS
from pages.parts.look.formats import THIN
from pages.parts.look.markup import blocks
from pages.parts.look.markup import scores as cells

ROWS = {
    "step": "a station, a step",
    "day_peak": "a station's highest step of the day",
    "day_total": "a station's day",
    "area_5": "5 stations side by side, a step",
    "area_20": "20 stations side by side, a step",
    "area_20_peak": "their highest step of the day",
    "area_all": "the whole network, a step",
}
COLUMNS = {  # title, model, dependence, and what it is
    "LEC-Diff": (OURS, "own", "Noise shared over places and steps"),
    "independent": (INDEPENDENT, "own", "The same model, each station with noise of its own"),
    "past days": (INDEPENDENT, "schaake", "Its samples put into the order of past days (Schaake shuffle)"),
    "Gaussian": (INDEPENDENT, "gaussian", "Its samples put into the order of a fitted Gaussian field"),
}


def columns(benchmark: Benchmark) -> dict[str, Model]:
    """The models of the table by their titles, those that were measured in sums and peaks."""
    candidates = {
        title: models(benchmark.results, Conditions(dependence=dependence)).get(name)
        for title, (name, dependence, _) in COLUMNS.items()
    }
    return {title: model for title, model in candidates.items() if model is not None and model.scores("day_peak")}


def table(columns: Mapping[str, Model]) -> Markup:
    """Error of each kind of value and what its 90 % interval holds; the lowest error of a row in bold."""
    lines = []
    for name, words in ROWS.items():
        having = {title: model for title, model in columns.items() if model.scores(name)}
        if not having:
            continue
        errors = [round(model.ncrps(name), 4) for model in having.values()]
        best = min(errors) if min(errors) < max(errors) else None
        lines.append(
            [words, *(_cell(model, name, best) if title in having else "–" for title, model in columns.items())]
        )
    hints = ["", *(COLUMNS[title][2] for title in columns)]
    return blocks.table(["", *columns], lines, "lec-numbers lec-held", hints)


def _cell(model: Model, name: str, best: float | None) -> Markup:
    low, high = (
        (f"{100 * bound:.0f}" for bound in interval) if (interval := model.coverage_interval(name)) else ("", "")
    )
    return cells.cell(
        error=f"{100 * model.ncrps(name):.2f}{THIN}%",
        best=round(model.ncrps(name), 4) == best,
        held=f"{100 * model.coverage(name):.0f}{THIN}%",
        low=low,
        high=high,
        missed=model.misses(name),
    )
