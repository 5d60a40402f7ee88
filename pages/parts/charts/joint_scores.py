"""Whether samples of many stations and steps belong together: the table of peaks, totals and areas on the accuracy page."""

from collections.abc import Mapping

from lecdiff_core.evaluation.results import Benchmark, Conditions, Model, models
from lecdiff_core.models.names import INDEPENDENT, OURS
from pages.parts.look.formats import THIN, escaped

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
    found = {
        title: models(benchmark.results, Conditions(dependence=dependence)).get(name)
        for title, (name, dependence, _) in COLUMNS.items()
    }
    return {title: model for title, model in found.items() if model is not None and model.scores("day_peak")}


def table(found: Mapping[str, Model]) -> str:
    """Error of each kind of value and what its 90 % interval holds; the lowest error of a row in bold."""
    head = "".join(f'<th title="{escaped(COLUMNS[title][2])}">{escaped(title)}</th>' for title in found)
    lines = []
    for name, words in ROWS.items():
        having = {title: model for title, model in found.items() if model.scores(name)}
        if not having:
            continue
        errors = [round(model.ncrps(name), 4) for model in having.values()]
        best = min(errors) if min(errors) < max(errors) else None
        cells = (_cell(model, name, best) if title in having else "–" for title, model in found.items())
        lines.append(f"<tr><td>{escaped(words)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    body = f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="lec-scroll"><table class="lec-rows lec-numbers lec-held">{body}</table></div>'


def _cell(model: Model, name: str, best: float | None) -> str:
    error = f"{100 * model.ncrps(name):.2f}{THIN}%"
    error = f"<b>{error}</b>" if round(model.ncrps(name), 4) == best else error
    held = f"{100 * model.coverage(name):.0f}{THIN}%"
    interval = model.coverage_interval(name)
    if interval is None:
        return f"{error} <small>{held}</small>"
    low, high = (f"{100 * bound:.0f}" for bound in interval)
    missed = ' class="lec-missed"' if model.misses(name) else ""
    return (
        f'{error} <small{missed} title="By the days measured, {low} to {high}{THIN}% is what it may be">{held}</small>'
    )
