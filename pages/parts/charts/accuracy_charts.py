"""The charts of the accuracy page."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from lecdiff_core.evaluation.results import SAMPLER_LABELS, LatencyRun, Model, Verdict, verdict
from lecdiff_core.models.names import NAMES
from pages.parts.charts.forecast_charts import BELOW
from pages.parts.data.findings import OUTCOMES
from pages.parts.look import colours, formats
from pages.parts.look.formats import escaped

ROW = 27  # pixels a model
HEIGHT = 300
ERROR = "error, % of the traffic"
GROUPS = {  # symbol and number of the colour
    "LEC-Diff": ("circle", 0),
    "LEC-Diff with a part changed": ("circle-open", 0),
    "networks": ("square", 5),
    "other libraries": ("diamond", 2),
    "formulas": ("triangle-up", 8),
}
GROUP_OF_ROLE = dict(zip(("form", "part changed", "network", "library", "formula"), GROUPS, strict=True))
DASHES = ("solid", "dash", "dot", "dashdot")


def group(name: str) -> str:
    """The group that a model is shown in."""
    return GROUP_OF_ROLE[NAMES[name].role] if name in NAMES else "networks"


def ranking(models: Sequence[Model], ours: Model | None) -> go.Figure:
    """One row a model, the best at the top: mean error, ± its standard deviation over seeds, and LEC-Diff's verdict against it."""
    traces = []
    for name, (symbol, colour) in GROUPS.items():
        those = [model for model in models if group(model.name) == name]
        shade = colours.kind(colour) if colour else _line_colour(0)
        if those:
            spreads = [100 * (model.spread("ncrps") or 0.0) for model in those]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [100 * model.mean("ncrps") for model in those],
                    "y": [escaped(model.label) for model in those],
                    "error_x": {"array": spreads, "thickness": 1.4, "width": 4},
                    "marker": {
                        "symbol": symbol,
                        "size": 11,
                        "color": shade,
                        "line": {"width": 2},
                    },
                    "customdata": [_hover_text(model, ours) for model in those],
                    "hovertemplate": "%{customdata}<extra></extra>",
                }
            )
    layout = _layout(ERROR, "", ROW * len(models) + 104)
    layout["yaxis"] |= {
        "categoryorder": "array",
        "categoryarray": [escaped(model.label) for model in reversed(models)],
        "tickfont": {"size": 12},
        "range": [-0.6, len(models) - 0.4],
        "title": None,
    }
    layout["xaxis"] |= {"rangemode": "normal"}
    verdicts = [(model, OUTCOMES[verdict(ours, model).outcome]) for model in models if ours and model is not ours]
    layout["annotations"] = [_beside(model, said) for model, said in verdicts]
    layout["margin"] |= {"r": 104 if verdicts else 12}
    return go.Figure(traces, layout)


def _hover_text(model: Model, ours: Model | None) -> str:
    spread = model.spread("ncrps")
    figures = f"{100 * model.mean('ncrps'):.2f} %" + (f" ± {100 * spread:.2f}" if spread is not None else "")
    seeds = f"{len(model.runs)} seed{'s' if len(model.runs) > 1 else ''}"
    lines = [f"<b>{escaped(model.label)}</b>", f"{figures}, {seeds}"]
    if ours and model is not ours:
        said = verdict(ours, model)
        lines.append(f"LEC-Diff {100 * said.change:+z.1f} %: {OUTCOMES[said.outcome]}")
    return "<br>".join(lines)


def _beside(model: Model, said: str) -> dict:
    place = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 6, "y": escaped(model.label), "showarrow": False}
    return place | {"text": said, "font": {"size": 11.5}, "align": "left"}


def reliability(model: Model) -> go.Figure:
    """Promised against observed coverage of central intervals, raw from the ranks, and widened at 50 % and 90 %."""
    theme = colours.ink()
    blue = f"rgb({theme['forecast']})"
    promised, held = coverage_curve(model.pit)
    traces: list[dict] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [0, 100],
            "y": [0, 100],
            "name": "as promised",
            "line": {"color": theme["past"], "dash": "dash", "width": 1.4},
            "hoverinfo": "skip",
        }
    ]
    if len(promised):
        traces.append(_points(promised, held, "observed", blue, "circle", "lines+markers"))
    else:
        raw = [model.mean("coverage_50"), model.mean("coverage_90")]
        traces.append(_points([0.5, 0.9], raw, "observed", blue, "circle", "markers"))
    widened = [model.widened("coverage_50"), model.widened("coverage_90")]
    if None not in widened:
        values = [value for value in widened if value is not None]
        traces.append(_points([0.5, 0.9], values, "after stretching", colours.kind(5), "diamond-open", "markers"))
    layout = _layout("promised: width of the interval, %", "observed inside it, %", HEIGHT)
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"range": [0, 101]}
    return go.Figure(traces, layout)


def coverage_curve(pit: np.ndarray) -> tuple[list[float], list[float]]:
    """Central intervals of every width that the bins of a PIT histogram allow: promised and observed coverage."""
    half = len(pit) // 2
    if not half or len(pit) % 2:
        return [], []
    return [step / half for step in range(1, half + 1)], [
        float(pit[half - step : half + step].sum()) for step in range(1, half + 1)
    ]


def _points(x: Sequence[float], y: Sequence[float], name: str, colour: str, symbol: str, mode: str) -> dict:
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": [100 * value for value in x],
        "y": [100 * value for value in y],
        "line": {"color": colour, "width": 2},
        "marker": {"symbol": symbol, "size": 8, "color": colour, "line": {"width": 2, "color": colour}},
        "hovertemplate": "%{x:.0f} % promised, %{y:.1f} % observed",
    }


def pit_histogram(pit: np.ndarray) -> go.Figure:
    """Shares of the observations by their rank among the sampled futures, beside the even share."""
    theme = colours.ink()
    width = 100 / len(pit)
    bars = {
        "type": "bar",
        "x": [(index + 0.5) * width for index in range(len(pit))],
        "y": (100 * pit).tolist(),
        "width": [width * 0.92] * len(pit),
        "marker": {"color": f"rgb({theme['forecast']})", "opacity": 0.8},
        "hovertemplate": "%{y:.1f} % of the observations<extra></extra>",
    }
    layout = _layout("rank of what was observed among the sampled futures, %", "observations, %", HEIGHT)
    layout["xaxis"] |= {"range": [0, 100]}
    layout["showlegend"] = False
    even = {"type": "line", "x0": 0, "x1": 100, "y0": width, "y1": width}
    layout["shapes"] = [even | {"line": {"color": theme["line"], "dash": "dash", "width": 1.4}}]
    return go.Figure([bars], layout)


def by_hour(models: Sequence[Model]) -> go.Figure:
    """Error by hour of day, a line a model; the first is drawn strongest."""
    traces = []
    for number, model in enumerate(models):
        errors = model.by_hour
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if number == 0 else "lines",
                "name": escaped(model.label),
                "x": list(errors),
                "y": [100 * error for error in errors.values()],
                "line": {
                    "color": _line_colour(number),
                    "width": 2.6 if number == 0 else 1.6,
                    "dash": DASHES[number % 4],
                },
                "hovertemplate": "%{y:.1f} %",
            }
        )
    layout = _layout("hour of day, local time", ERROR, HEIGHT + 20)
    layout["xaxis"] |= {"dtick": 3, "range": [-0.5, 23.5]}
    return go.Figure(traces, layout | {"hovermode": "x unified"})


def _line_colour(number: int) -> str:
    return f"rgb({colours.ink()['forecast']})" if number == 0 else colours.kind((5, 2, 8)[(number - 1) % 3])


def conditions(names: Sequence[str], models: Mapping[str, Sequence[Model | None]]) -> go.Figure:
    """Errors of some models under several conditions: a group of bars a condition, a bar a model, ± over seeds."""
    traces = []
    for number, (label, measured) in enumerate(models.items()):
        errors = [None if model is None else 100 * model.mean("ncrps") for model in measured]
        spreads = [0.0 if model is None else 100 * (model.spread("ncrps") or 0.0) for model in measured]
        traces.append(
            {
                "type": "bar",
                "name": escaped(label),
                "x": list(names),
                "y": errors,
                "error_y": {"array": spreads, "thickness": 1.2, "width": 3},
                "marker": {
                    "color": _line_colour(number),
                    "pattern": {"shape": ("", "/", ".", "x")[number % 4], "solidity": 0.25},
                },
                "hovertemplate": "%{y:.2f} %",
            }
        )
    layout = _layout("", ERROR, HEIGHT + 20)
    layout["margin"] |= {"b": 84}
    return go.Figure(traces, layout | {"barmode": "group", "bargap": 0.25})


def by_history(histories: Sequence[str], changes: Mapping[str, Sequence[Verdict | None]]) -> go.Figure:
    """What surroundings change, in per cent, by the length of a station's history: a line a kind of them, ± 2 standard errors."""
    traces = []
    for number, (label, verdicts) in enumerate(changes.items()):
        scale = [None if one is None or not one.difference else abs(one.change / one.difference) for one in verdicts]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escaped(label),
                "x": list(histories),
                "y": [None if one is None else 100 * one.change for one in verdicts],
                "error_y": {
                    "array": [
                        0.0 if one is None or factor is None else 200 * one.error * factor
                        for one, factor in zip(verdicts, scale, strict=True)
                    ],
                    "thickness": 1.2,
                    "width": 3,
                },
                "line": {"color": _line_colour(number), "dash": DASHES[number % 4], "width": 2},
                "marker": {"size": 7},
                "hovertemplate": "%{y:+.1f} %",
            }
        )
    layout = _layout("what is known of the station's own traffic", "change of the error, %", HEIGHT + 20)
    layout["yaxis"] |= {"rangemode": "normal", "zeroline": True, "zerolinecolor": layout["yaxis"]["color"]}
    layout["xaxis"] |= {"type": "category"}
    layout["margin"] |= {"b": 96}
    return go.Figure(traces, layout)


def denoising(curves: Mapping[str, Sequence[tuple[int, float]]], chosen: tuple[int, float]) -> go.Figure:
    """Error against evaluations of the network, a line a sampler; of the first, the default, one point is ringed."""
    traces = []
    for number, (sampler, points) in enumerate(curves.items()):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escaped(SAMPLER_LABELS.get(sampler, sampler)),
                "x": [evaluations for evaluations, _ in points],
                "y": [100 * error for _, error in points],
                "line": {"color": _line_colour(number), "dash": DASHES[number % 4], "width": 2},
                "marker": {"size": 6},
                "hovertemplate": "%{x} evaluations: %{y:.2f} %",
            }
        )
    ring: dict = {"symbol": "circle-open", "size": 17, "color": colours.ink()["line"], "line": {"width": 2}}
    place: dict = {"x": [chosen[0]], "y": [100 * chosen[1]], "name": "default", "hoverinfo": "skip"}
    traces.append({"type": "scatter", "mode": "markers", "marker": ring} | place)
    layout = _layout("evaluations of the network", ERROR, HEIGHT + 20)
    layout["xaxis"] |= {
        "type": "log",
        "tickvals": [1, 2, 4, 8, 16, 32, 64, 100],
        "range": [-0.1, 2.4],
        "rangemode": "normal",
    }
    layout["yaxis"] |= _close_range([error for points in curves.values() for _, error in points])
    return go.Figure(traces, layout)


def _close_range(errors: Sequence[float]) -> dict:
    """A range of the error axis that shows the better half of widely spread errors whole."""
    lowest = 100 * min(errors)
    highest = min(100 * max(errors), 1.6 * lowest)
    room = 0.06 * (highest - lowest) or 0.1
    return {"range": [lowest - room, highest + room], "rangemode": "normal"}


def latency(series: Mapping[str, Sequence[LatencyRun]]) -> go.Figure:
    """Seconds for a whole forecast against the number of stations, both on logarithmic axes, a line a model and device.

    Marks are open where a time was worked out from a smaller network.
    """
    traces: list[dict] = []
    for number, (name, runs) in enumerate(series.items()):
        symbols = ["circle" if run.whole else "circle-open" for run in runs]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escaped(name),
                "x": [run.stations for run in runs],
                "y": [run.seconds for run in runs],
                "line": {"color": _line_colour(number), "dash": DASHES[number % 4], "width": 2.2},
                "marker": {"size": 7, "symbol": symbols},
                "hovertemplate": "%{x:,} stations: %{y:,.3~r} s",
            }
        )
    if not all(run.whole for runs in series.values() for run in runs):
        open_mark = {"size": 7, "symbol": "circle-open", "color": colours.ink()["line"]}
        name = "worked out from a smaller network"
        traces.append(
            {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "marker": open_mark, "name": name}
        )
    layout = _layout("stations", "seconds", HEIGHT + 20)
    layout["xaxis"] |= {
        "type": "log",
        "tickvals": [1, 10, 100, 1000, 10_000],
        "tickformat": ",d",
        "rangemode": "normal",
    }
    layout["yaxis"] |= {
        "type": "log",
        "tickvals": [0.01, 0.1, 1, 10, 100, 1000, 10_000],
        "tickformat": ",~g",
        "rangemode": "normal",
    }
    return go.Figure(traces, layout)


def _layout(x: str, y: str, height: int) -> dict:
    theme = colours.ink()
    axis = {"gridcolor": theme["grid"], "zeroline": False, "color": theme["line"], "automargin": True}
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 10, "b": 76},
        "legend": {"orientation": "h", "itemwidth": 30, "font": {"size": 11.5}, **BELOW},
        "xaxis": {**axis, "title": {"text": x, "standoff": 6}},
        "yaxis": {**axis, "title": {"text": y, "standoff": 8}, "rangemode": "tozero"},
        "hoverlabel": {"align": "left"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": theme["line"], "size": 12},
        "separators": f".{formats.THIN}",
    }
