"""New site: what a place without a station would carry, how sure that is, whom it is like and what it takes from whom."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from lecdiff_core.tables import csv_text
from pages.parts.charts import exports
from pages.parts.data import new_sites
from pages.parts.data.cities import Place
from pages.parts.data.new_sites import Site
from pages.parts.look import colours, formats, tables
from pages.parts.look.columns import SIDES
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks
from pages.parts.map import basemap, site_map
from pages.parts.state import address, session
from pages.parts.station import estimates

if TYPE_CHECKING:
    from lecdiff_core.sites.report import SiteForecasts

SITES, CHOSEN, TURN, OPENED = "new_sites", "new_site", "new_site_turn", "new_site_city"
LETTERS = string.ascii_uppercase[:8]
CHIP_TYPES = ["jpg", "jpeg", "png", "webp"]
LARGEST_CHIP_MB = 20
NO_PLACES = "Nothing is known of the places of this city's stations, so no site can be put among them."


def main() -> None:
    """The page, from top to bottom."""
    place, city = session.begin()
    if not city.has_places:
        st.info(NO_PLACES, icon=":material/wrong_location:")
        return
    open_link(place)
    sites = list(st.session_state[SITES])
    map_side, panel_side = st.columns(SIDES, gap="medium")
    with map_side:
        site_map.draw(place, city, sites, chosen_name(), st.session_state.get(TURN, 0), put)
        st.html(basemap.attribution(city))
        basemap.watch(city)
        by_coordinates(city)
    with panel_side:
        if sites:
            show(place, city, sites)
        else:
            begin()
    session.write_link(place, {address.SITE: [f"{site.lon:.6f},{site.lat:.6f}" for site in sites]})


# ---- which sites there are


def open_link(place: Place) -> None:
    """The sites of the link where the page is opened, none where another city was."""
    state = st.session_state
    if state.get(OPENED) == place.key:
        return
    first = OPENED not in state
    state[OPENED], state[SITES], state[CHOSEN] = place.key, (), ""
    for words in address.SITE.read_all() if first else []:
        try:
            lon, lat = (float(part) for part in words.split(","))
        except ValueError:
            st.warning(f"“{literal(words)}” is not a place; write longitude,latitude.", icon=":material/link_off:")
            continue
        put(lon, lat)


def put(lon: float, lat: float) -> None:
    """Ask about a place, too; beyond the last letter it takes the place of the chosen site, and one that is there is chosen."""
    state = st.session_state
    there = next((site.name for site in state[SITES] if (site.lon, site.lat) == (lon, lat)), None)
    if there is not None:
        state[CHOSEN] = there
        return
    taken = {site.name for site in state[SITES]}
    free = [letter for letter in LETTERS if letter not in taken]
    name = free[0] if free else chosen_name()
    state[SITES] = (*(site for site in state[SITES] if site.name != name), Site(name, lon, lat))
    state[CHOSEN] = name


def remove(name: str) -> None:
    """Ask about a place no longer."""
    state = st.session_state
    state[SITES] = tuple(site for site in state[SITES] if site.name != name)
    state[CHOSEN] = state[SITES][-1].name if state[SITES] else ""
    state[TURN] = state.get(TURN, 0) + 1


def change(name: str, **parts: object) -> None:
    """Give other words or another chip of a site."""
    st.session_state[SITES] = tuple(
        replace(site, **parts) if site.name == name else site for site in st.session_state[SITES]
    )


def chosen_name() -> str:
    """The letter of the site that is looked at."""
    return st.session_state.get(CHOSEN, "")


def by_coordinates(city: City) -> None:
    """Put a site by its degrees."""
    middle = city.stations.geometry.union_all().centroid
    with st.form("by_coordinates", border=False):
        lon_side, lat_side, button = st.columns([4, 4, 3], vertical_alignment="bottom")
        lon = lon_side.number_input("Longitude", -180.0, 180.0, round(middle.x, 5), format="%.5f", step=0.001)
        lat = lat_side.number_input("Latitude", -90.0, 90.0, round(middle.y, 5), format="%.5f", step=0.001)
        if button.form_submit_button("Put a site", icon=":material/add_location_alt:", width="stretch"):
            put(lon, lat)
            st.rerun()


# ---- what is said of them


def begin() -> None:
    """How to begin."""
    st.html(
        blocks.heading("What would a new site carry?")
        + blocks.paragraph(
            "Click any cell of the map, or give coordinates. From the satellite image there, words of yours, the stations in like "
            "surroundings and those around comes a forecast of a day and of a usual week, with its intervals, and what the site "
            "would take from its neighbours. Up to eight places are compared. Nothing of it is saved."
        )
    )


def show(place: Place, city: City, sites: Sequence[Site]) -> None:
    """The chosen site, and all of them side by side."""
    site = next((one for one in sites if one.name == chosen_name()), sites[-1])
    heading(sites, site)
    words(site)
    try:
        with st.spinner("Estimating", show_time=False):
            answers = new_sites.forecast(city, tuple(sites), session.origin())
    except UserError as error:
        st.warning(f"No estimate: {literal(str(error))}", icon=":material/error:")
        return
    if len(sites) > 1:
        ranking(city, answers, sites)
    if site.name in answers.left_out:
        st.warning(f"No estimate of {site.name}: {literal(answers.left_out[site.name])}", icon=":material/error:")
        return
    report = next(one for one in answers.sites if one.name == site.name)
    estimates.site_facts(city, site, report)
    estimates.site_charts(city, answers, site.name)
    download(answers, site)
    estimates.site_neighbours(city, report)
    estimates.site_alike(place, city, report)
    for notice in report.notices:
        st.caption(f":material/info: {formats.sentence(notice)}")
    with st.expander("What this rests on"):
        st.html(tables.items(list(answers.assumptions)))


def heading(sites: Sequence[Site], site: Site) -> None:
    """Which sites there are, which is looked at, and the way to let one go."""
    choice, away = st.columns([8, 3], vertical_alignment="center")
    names = [one.name for one in sites]
    with choice:
        picked = st.segmented_control(
            "Site", names, default=site.name, required=True, key=f"sites-{'-'.join(names)}-{site.name}",
            format_func=lambda name: f"Site {name}", label_visibility="collapsed",
        )  # fmt: skip
    if picked != site.name:
        st.session_state[CHOSEN] = picked
        st.rerun()
    away.button("Remove", icon=":material/delete:", on_click=remove, args=(site.name,), type="tertiary")
    st.html(
        blocks.heading(f"Site {site.name}")
        + blocks.paragraph(
            f"{formats.position(site.lon, site.lat)} · an estimate for {formats.moment(session.origin())}", "sub"
        )
    )


def words(site: Site) -> None:
    """What else is given of a site: words, a chip of one's own."""
    key = f"site-words-{site.name}-{site.lon}-{site.lat}"
    text_side, chip_side = st.columns([7, 4], vertical_alignment="top")
    text = text_side.text_area(
        "What stands there, or will (optional)", site.text, key=key, height=80, max_chars=new_sites.LONGEST_TEXT,
        placeholder="A stadium with a car park in the south-east.",
        help="In English. What is said is taken as true and compared with the stations' descriptions. Nothing of it is saved.",
    )  # fmt: skip
    upload = chip_side.file_uploader(
        "Image of one's own",
        CHIP_TYPES,
        key=f"{key}-chip",
        max_upload_size=LARGEST_CHIP_MB,
        help="Seen from above, as much ground as the chips of the stations show.",
    )
    content = upload.getvalue() if upload is not None else b""
    if (text, content) != (site.text, site.chip):
        change(site.name, text=text, chip=content)
        st.rerun()


def download(answers: SiteForecasts, site: Site) -> None:
    """The day's numbers as a file."""
    file = exports.file_name(session.city(), [f"site-{site.name}"], session.origin(), ".csv")
    st.download_button(
        "CSV",
        lambda: csv_text(answers.day.station(site.name).to_frame()),
        file,
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="site_csv",
    )


def ranking(city: City, answers: SiteForecasts, sites: Sequence[Site]) -> None:
    """All sites, the highest load first."""
    order = [site.name for site in sites]
    rows = []
    for report in answers.sites:
        level = report.level
        low, middle, high = (formats.amount(level[name], city.meta.unit) for name in ("q05", "q50", "q95"))
        taken = formats.amount(report.taken, city.meta.unit)
        rows.append(
            [blocks.label(report.name, colours.kind(order.index(report.name))), middle, f"{low} – {high}", taken]
        )
    st.html(blocks.table(["Site", "Mean load", "90 % interval", "Taken from neighbours"], rows, "lec-numbers"))
    table = pd.DataFrame(
        [
            {
                "site": one.name,
                "lon": one.lon,
                "lat": one.lat,
                **{f"level_{name}": value for name, value in one.level.items()},
                "taken": one.taken,
            }
            for one in answers.sites
        ]
    )
    st.download_button(
        "CSV of all sites",
        lambda: csv_text(table),
        "sites.csv",
        "text/csv",
        on_click="ignore",
        key="sites_csv",
        type="tertiary",
    )


main()
