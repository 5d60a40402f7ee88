"""Accuracy: how good the forecasts are, against which others, whether their intervals hold, and how long they take."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from markupsafe import Markup

from lecdiff_core.city.folder import City, named
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation import results
from lecdiff_core.evaluation.results import (
    CITIES,
    Benchmark,
    Conditions,
    LatencyRun,
    LatencyStudy,
    Model,
    SamplerStudy,
)
from lecdiff_core.models.names import (
    ABLATIONS,
    OURS,
    WITH_OTHERS_SURROUNDINGS,
    WITH_TEXT,
    WITH_UNIFIED,
    WITHOUT_SURROUNDINGS,
    YESTERDAY,
    label_of,
)
from pages.parts.charts import accuracy_charts, joint_scores
from pages.parts.charts.forecast_charts import CONFIG
from pages.parts.data import findings, measured
from pages.parts.data.cities import Place
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks
from pages.parts.map import basemap, views
from pages.parts.map import station_map as station_map
from pages.parts.state import session
from pages.parts.steps import missing

HELD_OUT, SHORT_HISTORY = 0.2, 24  # share of stations, hours: how stations never seen are measured
MAP_HEIGHT = 400
HISTORIES: dict[int | None, str] = {0: "nothing", 24: "24 h", 168: "7 days", None: "all of it"}
KINDS_OF_SURROUNDINGS = {
    OURS: "image",
    WITH_TEXT: "text",
    WITH_UNIFIED: "image and text",
    WITH_OTHERS_SURROUNDINGS: "another station's",
}
SHOWN_HOURS = 4  # models in the chart by hour
T = TypeVar("T")


def main() -> None:
    """The page, from top to bottom."""
    place, city = session.begin()
    introduce()
    shown = choose(city, sources(city))
    if shown is not None:
        show_results(place, city, shown)
    show_studies()
    session.write_link(place)


def introduce() -> None:
    """What is measured, in two sentences."""
    st.html(
        blocks.heading("How good the forecasts are")
        + blocks.paragraph(
            Markup(
                "Every model forecasts the same days, which none of them was trained on: 24 hours ahead, every 6 hours. "
            )
            + blocks.explained(
                Markup("The ")
                + blocks.bold("error")
                + " says how far the forecast distribution lies from what was observed, as a share of the traffic",
                "Continuous ranked probability score over the sum of the traffic (nCRPS)",
            )
            + "; lower is better. A difference of no more than "
            + blocks.explained("two standard errors", "of the paired difference per day")
            + " is called a tie."
        )
    )


def read(what: str, reading: Callable[[], T]) -> T | None:
    """Measurements, or a word on why they cannot be shown."""
    try:
        return reading()
    except UserError as error:
        st.warning(f"{what} cannot be shown. {literal(error)}", icon=":material/error:")
        return None


# ---- which city


def sources(city: City) -> dict[str, Benchmark]:
    """Every city with results, the open one first, by a name for people."""
    by_city = {}
    own = read("The results of this city", lambda: measured.of_city(city))
    if own and own.results:
        by_city[city.meta.name] = own
    for name in CITIES:
        benchmark = read(f"The shipped results of {name}", partial(measured.shipped, name))
        if benchmark and benchmark.results and benchmark is not own:
            by_city.setdefault(benchmark.city, benchmark)
    return by_city


def choose(city: City, by_city: dict[str, Benchmark]) -> Benchmark | None:
    """The results that are shown; says what the open city lacks."""
    if city.meta.name not in by_city:
        missing.offer(
            "No model has been measured on this city yet; below are the cities measured before. To measure this one:",
            "benchmark",
            city,
        )
    if not by_city:
        st.info("There are no results to show.", icon=":material/query_stats:")
        return None
    names = list(by_city)
    chosen = names[0]
    if len(names) > 1:
        chosen = st.segmented_control(
            "Measured on", names, default=names[0], required=True, key=f"measured-{session.place().key}"
        )
    return by_city[chosen]


# ---- one city


def show_results(place: Place, city: City, benchmark: Benchmark) -> None:
    """All that was measured on one city; if it is the open one, on its map, too."""
    mine = benchmark is read("The results of this city", lambda: measured.of_city(city))
    models = results.models(benchmark.results)
    if not models:
        st.info("Only parts of this city were measured; see below.", icon=":material/query_stats:")
    else:
        show_models(models)
        focus = models.get(OURS) or next(iter(models.values()))
        show_calibration(focus)
        show_sums(benchmark)
        left, right = st.columns(2, gap="large")
        on_the_map = mine and bool(measured.station_errors(city))
        with left:
            show_hours(models, focus)
            if on_the_map:
                show_unseen(benchmark, focus)
        with right:
            show_stations(place, city) if on_the_map else show_unseen(benchmark, focus)
    show_slow(benchmark)
    st.html(
        blocks.paragraph(
            f"Measured on the {benchmark.part} part{f', {benchmark.device}' if benchmark.device else ''}. Where several seeds "
            "were trained, ± is their standard deviation.",
            "made",
        )
    )


def figure(title: str, chart: go.Figure, sentence: str, key: str) -> None:
    """A chart under its title, and what it means."""
    st.html(blocks.part(title) + blocks.paragraph(sentence))
    st.plotly_chart(chart, key=key, config=CONFIG, alt=f"{title}. {sentence}")


def show_models(models: dict[str, Model]) -> None:
    """All models against one another, LEC-Diff with its parts changed beside them, and every figure in a table."""
    ours = models.get(OURS)
    whole = [model for name, model in models.items() if name not in ABLATIONS]
    changed = [model for name, model in models.items() if name in ABLATIONS]
    left, right = st.columns(2, gap="large") if ours and changed else (st.container(), None)
    with left:
        figure("Against other models", accuracy_charts.ranking(whole, ours), findings.standing(models), "ranking")
    if right and ours:
        with right:
            rows = sorted([ours, *changed], key=lambda model: model.mean("ncrps"))
            figure(
                "What each part is worth",
                accuracy_charts.ranking(rows, ours),
                findings.ablations(ours, changed),
                "ablations",
            )
    with st.expander("All figures"):
        st.dataframe(table(models), hide_index=True, column_config=columns(), key="figures")


def table(models: dict[str, Model]) -> pd.DataFrame:
    """Every model's scores, mean over seeds, with LEC-Diff's verdict against it."""
    ours = models.get(OURS)
    rows = []
    for model in models.values():
        spread = model.spread("ncrps")
        said = results.verdict(ours, model) if ours and model is not ours else None
        rows.append(
            {
                "Model": model.label,
                "Error": 100 * model.mean("ncrps"),
                "± seeds": None if spread is None else 100 * spread,
                "MAE": model.mean("mae"),
                "RMSE": model.mean("rmse"),
                "in 50 %": 100 * model.mean("coverage_50"),
                "in 90 %": 100 * model.mean("coverage_90"),
                "in 90 %, stretched": None if (widened := model.widened("coverage_90")) is None else 100 * widened,
                "LEC-Diff's error beside it": None if said is None else 100 * said.change,
                "Verdict": "" if said is None else findings.OUTCOMES[said.outcome],
                "Seeds": len(model.runs),
            }
        )
    return pd.DataFrame(rows)


def columns() -> dict[str, Any]:
    """How the table's columns are written, and what they mean."""
    number = st.column_config.NumberColumn
    return {
        "Error": number(
            format="%.2f %%", help="nCRPS: continuous ranked probability score over the sum of the traffic"
        ),
        "± seeds": number(format="%.2f", help="Standard deviation over seeds, in the same unit"),
        "MAE": number(format="%.4g", help="Mean absolute error of the median, in the city's unit"),
        "RMSE": number(format="%.4g", help="Root mean squared error of the mean, in the city's unit"),
        "in 50 %": number(format="%.0f %%", help="Observations inside the 50 % interval; 50 % is right"),
        "in 90 %": number(format="%.0f %%", help="Observations inside the 90 % interval; 90 % is right"),
        "in 90 %, stretched": number(
            format="%.0f %%", help="The same after calibration on what was observed in the days before each forecast"
        ),
        "LEC-Diff's error beside it": number(format="%+.1f %%", help="Below zero: LEC-Diff's error is lower"),
    }


def show_calibration(model: Model) -> None:
    """Whether intervals hold what they promise."""
    left, right = st.columns(2, gap="large")
    with left:
        figure(
            f"Do the intervals hold? ({model.label})",
            accuracy_charts.reliability(model),
            findings.calibration(model),
            "reliability",
        )
    if model.pit.size:
        with right:
            figure(
                "Where observations fall in the forecast",
                accuracy_charts.pit_histogram(model.pit),
                findings.ranks(model.pit),
                "pit",
            )


def show_sums(benchmark: Benchmark) -> None:
    """Whether peaks, totals and areas, which need samples that belong together, are forecast as well as steps."""
    columns = joint_scores.columns(benchmark)
    if OURS not in {model.name for model in columns.values()}:
        return
    st.html(
        blocks.part("Do sums and peaks hold?")
        + blocks.paragraph(findings.together(columns))
        + joint_scores.table(columns)
        + blocks.paragraph(
            Markup("Error, and what share of the observations the 90 % interval held; ")
            + blocks.missed("so")
            + " where the days that happened to be measured do not explain the difference from 90 %.",
            "sub",
        )
    )


def show_hours(models: dict[str, Model], focus: Model) -> None:
    """Error by hour of day: of LEC-Diff, the best others and the simplest."""
    if not focus.by_hour:
        return
    others = [model for name, model in models.items() if model is not focus and name not in ABLATIONS and model.by_hour]
    best = [model for model in others if model.name != YESTERDAY][: SHOWN_HOURS - 2]
    shown = [focus, *best, *(model for model in others if model.name == YESTERDAY)]
    figure("Error by hour of day", accuracy_charts.by_hour(shown), findings.hours(focus), "hours")


def show_stations(place: Place, city: City) -> None:
    """The error of each station on the map; a click leads on to its forecast."""
    errors = measured.station_errors(city)
    st.html(blocks.part("Error by station") + blocks.paragraph(findings.stations(errors)))
    if unmeasured := [name for name in city.station_ids if name not in errors]:
        why = "as nothing was observed of them or they were added later"
        st.caption(f":material/info: Not measured, {why}: {literal(named(unmeasured))}.")
    station_map.draw(place, city, key="errors-map", whole=True, height=MAP_HEIGHT, view=views.ERROR, share=1 / 2)
    legend = views.ERROR.legend(city, session.origin())
    st.html(blocks.within("under", [legend, basemap.attribution(city)]))
    basemap.watch(city)
    chosen = session.station()
    if chosen in errors:
        share_of = findings.percent(errors[chosen])
        st.page_link(
            "pages/network_map.py",
            label=f"{literal(chosen)}: error {share_of}; its forecast on the network map",
            icon=":material/show_chart:",
        )


def show_unseen(benchmark: Benchmark, seen: Model) -> None:
    """Stations that training never saw: with their whole history, and with the last day of it alone."""
    settings = {
        "all stations in training": results.WHOLE,
        "stations never seen": Conditions(hold_out_stations=HELD_OUT),
        "never seen, only a day of history": Conditions(hold_out_stations=HELD_OUT, history_hours=SHORT_HISTORY),
    }
    by_setting = {name: results.models(benchmark.results, setting) for name, setting in settings.items()}
    there = [name for name in settings if seen.name in by_setting[name]]
    if len(there) < 2:
        return
    order = [seen.name, *(name for name in by_setting[there[-1]] if name != seen.name and name not in ABLATIONS)][
        :SHOWN_HOURS
    ]
    bars = {label_of(name): [by_setting[condition].get(name) for condition in there] for name in order}
    sentence = findings.unseen(
        seen,
        [
            (words, by_setting[name][seen.name])
            for name, words in (
                ("stations never seen", "for stations that training never saw"),
                ("never seen, only a day of history", "where only a day of their history is known"),
            )
            if seen.name in by_setting[name]
        ],
    )
    figure("Stations never seen in training", accuracy_charts.conditions(there, bars), sentence, "unseen")


def show_slow(benchmark: Benchmark) -> None:
    """Models too slow to be measured in full, and the others on the same few forecasts."""
    models = results.models(benchmark.results, Conditions(subset=True))
    if len(models) < 2:
        return
    with st.expander("Models too slow to be measured in full"):
        whole = [model for name, model in models.items() if name not in ABLATIONS]
        figure(
            "On the first four forecasts, 20 sampled futures each, one seed",
            accuracy_charts.ranking(whole, models.get(OURS)),
            findings.standing(models),
            "slow",
        )


# ---- studies


def show_studies() -> None:
    """What was measured once, on cities of the project's own choice."""
    history = read("What surroundings are worth by the length of the history", measured.history_effect)
    effect = read("What surroundings add", measured.surroundings)
    steps = read("The study of denoising steps", measured.samplers)
    network = read("Latency against network size", measured.latency)
    shows: list[Callable[[], None]] = []
    if history and history.results:
        shows.append(lambda: show_by_history(history))
    if effect and results.models(effect.results):
        shows.append(lambda: show_surroundings(effect))
    if steps and steps.results:
        shows.append(lambda: show_denoising(steps))
    if network and network.results:
        shows.append(lambda: show_latency(network))
    if not shows:
        return
    st.html(blocks.heading("Further studies"))
    for start in range(0, len(shows), 2):
        for side, show in zip(st.columns(2, gap="large"), shows[start : start + 2], strict=False):
            with side:
                show()


def show_by_history(effect: Benchmark) -> None:
    """What each kind of surroundings changes, for stations held out of training, by how much of their own traffic is known."""
    by_hours = {
        hours: results.models(effect.results, Conditions(hold_out_stations=HELD_OUT, history_hours=hours))
        for hours in HISTORIES
    }
    there = [hours for hours, models in by_hours.items() if WITHOUT_SURROUNDINGS in models]
    changes = {
        words: [
            results.verdict(by_hours[hours][name], by_hours[hours][WITHOUT_SURROUNDINGS])
            if name in by_hours[hours]
            else None
            for hours in there
        ]
        for name, words in KINDS_OF_SURROUNDINGS.items()
        if any(name in by_hours[hours] for hours in there)
    }
    if not changes:
        return
    names = [HISTORIES[hours] for hours in there]
    sentence = findings.by_history(names, next(iter(changes.values())))
    where = "the demo city" if effect.city == measured.DEMO else effect.city
    title = f"What surroundings are worth, by history, in {where}"
    figure(title, accuracy_charts.by_history(names, changes), sentence, "history")


def show_surroundings(effect: Benchmark) -> None:
    """LEC-Diff with a station's surroundings, another's, and none."""
    names = [
        name
        for name in (OURS, WITH_OTHERS_SURROUNDINGS, WITHOUT_SURROUNDINGS)
        if name in results.models(effect.results)
    ]
    settings = {
        "their whole history": results.WHOLE,
        "only a day of history": Conditions(history_hours=SHORT_HISTORY),
        "never seen": Conditions(hold_out_stations=HELD_OUT),
        "never seen, only a day of history": Conditions(hold_out_stations=HELD_OUT, history_hours=SHORT_HISTORY),
    }
    by_setting = {name: results.models(effect.results, setting) for name, setting in settings.items()}
    there = [name for name, models in by_setting.items() if models]
    words = {
        OURS: "the station's surroundings",
        WITH_OTHERS_SURROUNDINGS: "another station's",
        WITHOUT_SURROUNDINGS: "none",
    }
    bars = {words[name]: [by_setting[condition].get(name) for condition in there] for name in names}
    sentence = _worth_of_surroundings(
        {condition: by_setting[condition] for condition in dict.fromkeys((there[0], there[-1]))}
    )
    figure(f"What surroundings add in {effect.city}", accuracy_charts.conditions(there, bars), sentence, "surroundings")


def _worth_of_surroundings(by_setting: dict[str, dict[str, Model]]) -> str:
    """What knowing them is worth under each condition."""
    sentences = []
    for condition, models in by_setting.items():
        others = [models[name] for name in (WITHOUT_SURROUNDINGS, WITH_OTHERS_SURROUNDINGS) if name in models]
        if OURS in models and others:
            spoken = f"For stations {condition}" if condition.startswith("never") else f"With {condition}"
            sentences.append(findings.surroundings(models[OURS], others, spoken))
    return " ".join(sentences) or "Knowing the surroundings was not measured against not knowing them."


def show_denoising(study: SamplerStudy) -> None:
    """Error against denoising steps, for each sampler."""
    names = list(dict.fromkeys(run.city for run in study.results))
    title = "How many denoising steps are needed"
    place, city = st.container(), names[0]
    if len(names) > 1:
        city = st.segmented_control("Measured on", names, default=city, required=True, key="steps-city")
    default, most = study.default(city), study.most(city)
    if default is None or most is None:
        return
    chart = accuracy_charts.denoising(study.curves(city), (default.evaluations, default.ncrps))
    with place:
        figure(f"{title} ({city}, validation days)", chart, findings.denoising(default, most), "denoising")


def show_latency(study: LatencyStudy) -> None:
    """Seconds for a forecast of all stations against their number."""
    ours = [run for run in study.networks if run.model == OURS]
    if not ours:
        return
    series: dict[str, list[LatencyRun]] = {}
    for run in sorted(study.networks, key=lambda run: run.model != OURS):
        series.setdefault(f"{label_of(run.model)}, {run.device}", []).append(run)
    largest = max(ours, key=lambda run: (run.device.startswith("CPU"), run.stations))
    others = {run.model: run for run in study.networks if run.model != OURS and run.device == largest.device}
    beside = [(label_of(name), run.us_per_station_step / largest.us_per_station_step) for name, run in others.items()]
    sentence = findings.latency(largest, study.samples, beside, study.singles)
    figure("How long a forecast takes", accuracy_charts.latency(series), sentence, "latency")


main()
