"""How good the detection of surges is: precision and recall on planted events, and how often they were held possible."""

from collections.abc import Sequence

import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from lecdiff_core.models.checkpoint import source_now
from lecdiff_core.models.names import OURS
from lecdiff_core.provenance import is_current
from pages.parts.charts import forecast_charts, surge_charts
from pages.parts.data import surge_results
from pages.parts.look import formats, tables
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks

ONE_A_DAY = 1.0  # the setting that sentences speak of


def show(city: City) -> None:
    """Precision and recall on planted events, where there are such."""
    try:
        measured = surge_results.quality(city)
    except UserError as error:
        st.warning(f"What was measured cannot be shown. {literal(error)}", icon=":material/error:")
        return
    if measured is None:
        st.info(
            "How well surges are found can only be measured where one knows what happened: on a demo city, whose events "
            "are planted. Open the demo city to see it.",
            icon=":material/query_stats:",
        )
        return
    results, total = measured["results"], sum(measured["planted"].values())
    ours = [row for row in results if row["detector"] == OURS and row["compared"] == "beside neighbours"]
    at_one = next((row for row in ours if row["false_alarms_asked"] == ONE_A_DAY), ours[0])
    st.html(
        blocks.part(f"{at_one['matched']} of {total} planted events found at one false alarm a day", 2)
        + blocks.paragraph(
            f"In the {measured['days']:.0f} days shown, the generator of this city planted {total} events that no detector knew "
            "of. An event counts as found if a reported event shares a station and a time with it, one to one; a report that "
            "touches no planted event is a false alarm."
        )
    )
    made_from = {"data": measured["data"], "weights": measured.get("model_weights")}
    now = source_now(city, OURS)
    if now and is_current(made_from, {name: now[name] for name in made_from}) is False:
        st.caption(":material/history: Measured with an earlier training of this model.")
    chart_side, kind_side = st.columns(2, gap="large")
    with chart_side:
        st.html(blocks.part("Against other detectors") + blocks.paragraph(comparison(results)))
        st.plotly_chart(
            surge_charts.found_against_false(results), key="quality", config=forecast_charts.CONFIG,
            alt="Planted events found against false alarms a day",
        )  # fmt: skip
    with kind_side:
        st.html(
            blocks.part("By kind of event")
            + blocks.paragraph("Found by LEC-Diff at one false alarm a day.")
            + tables.table(("Event", "Planted", "Found"), kind_rows(measured, at_one))
        )
        show_districts(measured)
        show_inside(measured)
    with st.expander("Every setting of every detector"):
        st.html(tables.table(*quality_table(results)))


def comparison(results: list[dict]) -> str:
    """What the chart shows, in one sentence."""
    at_one = {(row["detector"], row["compared"]): row for row in results if row["false_alarms_asked"] == ONE_A_DAY}
    ours = at_one[OURS, "beside neighbours"]
    others = [
        f"the usual {surge_charts.DETECTORS[name].lower()} {row['matched']}, with {row['false_alarms_a_day']:.1f} false alarms"
        for name in ("seasonal-residual", "z-score")
        if (row := at_one[name, "alone"])
    ]
    return (
        f"Asked for one false alarm a day, LEC-Diff finds {ours['matched']} of {ours['planted']} events, with "
        f"{ours['false_alarms_a_day']:.1f} false alarms a day in fact; {' and '.join(others)}. Dotted lines judge each station "
        f"by itself, solid ones against its neighbourhood. Among {ours['planted']} events a difference of one or two is chance."
    )


def quality_table(results: list[dict]) -> tuple[tuple[str, ...], list[Sequence[str]]]:
    """Head and rows of all that was measured."""
    head = ("Detector", "Asked", "Measured", "Found", "Reports right", "F1")
    rows: list[Sequence[str]] = [
        (
            surge_charts.DETECTORS[row["detector"]] + ("" if row["compared"] == "alone" else ", beside neighbours"),
            f"{row['false_alarms_asked']:g}",
            f"{row['false_alarms_a_day']:.2f}",
            f"{row['matched']} of {row['planted']}",
            f"{row['matched']} of {row['reported']}",
            f"{row['f1']:.2f}",
        )
        for row in results
    ]
    return head, rows


def kind_rows(measured: dict, at_one: dict) -> list[tuple[str, str, str]]:
    """Planted and found of each kind."""
    return [
        (kind.replace("_", " "), str(count), str(at_one["matched_by_kind"].get(kind, 0)))
        for kind, count in measured["planted"].items()
    ]


def show_districts(measured: dict) -> None:
    """How many events were found in which no station left its own interval, where that was measured."""
    districts = measured.get("districts")
    if not districts:
        return
    found_at_one = {name: counts[str(ONE_A_DAY)] for name, counts in districts["found_at_false_alarms_asked"].items()}
    st.html(
        blocks.part("Stations that leave the forecast together")
        + blocks.paragraph(
            f"{districts['planted']} more events were planted for this, each of {districts['stations']} neighbours for "
            f"{districts['hours']} hours, {formats.share(districts['inside_own_90'])} of whose values lie inside their station's "
            f"own 90 % interval. At one false alarm a day {found_at_one['together']} of them are found where areas of stations "
            f"are judged together, and {found_at_one['by themselves']} where each station is judged by itself."
        )
    )


def show_inside(measured: dict) -> None:
    """How often values during planted events lay inside the intervals."""
    ours = measured["inside_intervals"][OURS]
    rows = [
        (name, f"{row['count']:,}", formats.share(row["inside_50"]), formats.share(row["inside_90"]))
        for name, row in ours.items()
    ]
    st.html(
        blocks.part("Did the forecast hold them possible?")
        + blocks.paragraph(
            "Share of the values inside the 50 % and the 90 % interval of forecasts up to 24 hours ahead, made every 6 hours. The "
            "model does not know of planted events, so that many of their values lie outside; ordinary values should be inside as "
            "often as the intervals promise."
        )
        + tables.table(("Values", "Number", "In 50 %", "In 90 %"), rows)
    )
