"""Estimates as pages show them: a place without a station, and a station's forecast if things were different."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import streamlit as st

from lecdiff_core.city.folder import City
from pages.parts.charts import forecast_charts
from pages.parts.data import new_sites
from pages.parts.data.cities import Place
from pages.parts.data.forecasts import Fan
from pages.parts.data.new_sites import Site
from pages.parts.look import formats, tables
from pages.parts.look.markup import blocks
from pages.parts.station.chips import chips

if TYPE_CHECKING:
    from lecdiff_core.sites.report import SiteForecasts, SiteReport
    from lecdiff_core.sites.what_if import WhatIf

LOOKALIKES = 4


def site_facts(city: City, site: Site, report: SiteReport) -> None:
    """Image and figures."""
    unit, per = city.meta.unit, formats.duration(city.interval)

    def read(values: dict[str, float]) -> list[str]:
        low, middle, high = (formats.amount(values[name], unit) for name in ("q05", "q50", "q95"))
        return [middle, f"{low} – {high}"]

    image_side, fact_side = st.columns([3, 8], vertical_alignment="center")
    image = new_sites.chip(city, site)
    if image is None:
        image_side.html(blocks.paragraph("No satellite image of this place", "sub"))
    else:
        packed = io.BytesIO()
        image.save(packed, "PNG")
        image_side.image(packed.getvalue(), width="stretch")
    level, total = read(report.level), read(report.day_total)
    rows = {
        f"Mean load / {per}": level[0],
        "90 % interval": level[1],
        "Busiest hour": f"{report.busiest_hour:02d}:00 – {(report.busiest_hour + 1) % 24:02d}:00",
        "24 h in all": total[0],
        "90 % interval of it": total[1],
        f"Taken from neighbours / {per}": formats.amount(report.taken, unit),
    }
    basis = "the stations around alone" if report.basis == "nothing" else f"its {report.basis} and the stations around"
    fact_side.html(tables.facts(rows) + blocks.paragraph(f"Judged by {basis}.", "sub"))


def site_charts(city: City, answers: SiteForecasts, name: str) -> None:
    """The day from the time of forecast, and a usual week."""
    day, week = (new_sites.fan_of(one, name) for one in (answers.day, answers.week))
    day_tab, week_tab = st.tabs(["Day ahead", "Usual week"])
    for tab, fan, key in ((day_tab, day, "site-day"), (week_tab, week, "site-week")):
        with tab:
            figure = forecast_charts.estimate_chart(city, fan)
            st.plotly_chart(figure, key=key, config=forecast_charts.CONFIG, alt=f"Estimated load of site {name}")


def site_neighbours(city: City, report: SiteReport) -> None:
    """The stations around, before and after."""
    if not report.neighbours:
        return
    unit = city.meta.unit
    st.html(blocks.part("Stations around, mean load before and after"))
    rows = [
        [
            one.station_id,
            formats.distance(one.distance_m) if city.has_true_places else "–",
            formats.amount(one.before, unit),
            formats.amount(one.after, unit),
            formats.share(one.share),
        ]
        for one in report.neighbours
    ]
    st.html(blocks.table(["Station", "Distance", "Before", "After", "Taken"], rows, "lec-numbers"))


def site_alike(place: Place, city: City, report: SiteReport) -> None:
    """Stations in like surroundings."""
    names = [name for name, _ in report.lookalikes[:LOOKALIKES]]
    if names:
        st.html(blocks.part("Stations in like surroundings"))
        chips(
            place,
            city,
            "site-alike",
            names,
            [f"likeness {fit:.2f}" for _, fit in report.lookalikes[:LOOKALIKES]],
            LOOKALIKES,
        )


def changed(city: City, station_id: str, answer: WhatIf) -> tuple[Fan, Fan]:
    """The forecast of today and as it would be, as a chart and in figures. Returns both."""
    before, after = (new_sites.fan_of(one, station_id) for one in (answer.before, answer.after))
    figure = forecast_charts.changed_chart(city, before, after)
    st.plotly_chart(
        figure, key="what-if", config=forecast_charts.CONFIG, alt=f"Forecast of {station_id} today and as it would be"
    )
    rows = [
        [name, *(_amounts(city, fan.peak) + _amounts(city, fan.total))]
        for name, fan in (("Today", before), ("As it would be", after))
    ]
    length = formats.duration(len(after.timestamps) * city.interval)
    st.html(
        blocks.table(["", "Expected peak", "90 % interval", f"{length} in all", "90 % interval"], rows, "lec-numbers")
    )
    return before, after


def _amounts(city: City, values: tuple[float, float, float]) -> list[str]:
    """Median and interval in words."""
    low, middle, high = (formats.amount(value, city.meta.unit) for value in values)
    return [middle, f"{low} – {high}"]
