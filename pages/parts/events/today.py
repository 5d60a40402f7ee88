"""What matters now, in one look: who is at risk in the next day, what happened since yesterday, whether yesterday's forecast held.

Each line leads to where it is worked on.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from pages.parts.data import forecasts, surge_results, traffic_levels
from pages.parts.data.network_forecast import NetworkForecast
from pages.parts.look import formats
from pages.parts.look.markup import blocks
from pages.parts.map import views
from pages.parts.state import address, session
from pages.parts.station import live_map, panel

DAY = pd.Timedelta("24h")
NAMED = 3  # stations or events that are named
LIKELY = 0.5


def show(city: City, origin: pd.Timestamp) -> None:
    """The three lines, as far as they can be said."""
    st.html(blocks.part("What matters now"))
    if panel.network_is_forecast(city):
        _risks(city, origin)
    _events(city, origin)
    if panel.network_is_forecast(city):
        _held(city, origin)


def _line(words: str, label: str, page: str, link: Mapping[str, str] | None = None) -> None:
    """A sentence, and the way to where it is worked on."""
    text, way = st.columns([8, 3], gap="small", vertical_alignment="center")
    text.html(blocks.paragraph(words))
    query = {address.CITY.name: session.place().key, **(link or {})}
    way.page_link(page, label=label, icon=":material/arrow_outward:", query_params=query)


def _risks(city: City, origin: pd.Timestamp) -> None:
    """Stations that exceed what they can carry more likely than not."""
    result = views.forecast_of(city, origin).result
    if result is None:
        return  # the network's forecast is under way, and says so
    given = not result.congestion[traffic_levels.GIVEN].empty
    table = result.congestion[traffic_levels.GIVEN if given else traffic_levels.USUAL]
    limit = "their capacity" if given else "what 99 % of their past values stayed below (no capacities are given)"
    likely = table[table["probability"] > LIKELY]
    if likely.empty:
        words = f"No station exceeds {limit} in the next 24 h more likely than not."
    else:
        first = ", ".join(
            f"{name} ({formats.share(probability)})"
            for name, probability in zip(likely["station_id"][:NAMED], likely["probability"][:NAMED], strict=True)
        )
        words = f"{len(likely):,} of {len(table):,} stations will in the next 24 h more likely than not exceed {limit}: {first}"
        words += " …" if len(likely) > NAMED else "."
    _line(words, "Congestion", "pages/surges.py", {address.SHOW.name: "congestion"})


def _events(city: City, origin: pd.Timestamp) -> None:
    """Surges and drops of the day before."""
    try:
        stored = surge_results.stored_surges(city)
    except UserError:
        return  # the Surges page says so
    since = f"since {origin - DAY:%a %H:%M}"
    if stored is None:
        _line("Surges have not been looked for in this city yet.", "Surges", "pages/surges.py")
        return
    events = stored.at_most(float(address.ALARMS.usual))
    recent = events[(events["end"] > origin - DAY) & (events["start"] < origin)]
    if recent.empty:
        if origin - DAY > stored.scores.index[-1]:
            words = f"Surges were looked for up to {formats.moment(stored.scores.index[-1])} only."
        else:
            words = f"No surge or drop {since}."
        _line(words, "Surges", "pages/surges.py")
        return
    count = f"{len(recent)} event{'' if len(recent) == 1 else 's'}"
    first = ", ".join(
        f"{'▲' if side == 'above' else '▼'} {name} {start:%a %H:%M}"
        for side, name, start in zip(
            recent["direction"][:NAMED], recent["station_id"][:NAMED], recent["start"][:NAMED], strict=True
        )
    )
    more = " …" if len(recent) > NAMED else "."
    rarest = {address.EVENT.name: str(recent["event_id"].iloc[0])}
    _line(f"{count} {since}, the rarest first: {first}{more}", "Surges", "pages/surges.py", rarest)


def _held(city: City, origin: pd.Timestamp) -> None:
    """How the forecast made a day before held; looked at again every moment while it is being made."""
    before = origin - DAY
    if before not in traffic_levels.origins(city):
        return
    if views.forecast_of(city, before).waiting:
        st.fragment(_wait, run_every=live_map.MOMENT_SECONDS)(city, before)
        return
    result = views.forecast_of(city, before).result
    if result is not None and (words := held_sentence(city, result)):
        _line(words, "Accuracy", "pages/accuracy.py")


def _wait(city: City, origin: pd.Timestamp) -> None:
    if not views.forecast_of(city, origin).waiting:
        st.rerun()
    st.html(blocks.paragraph("Yesterday's forecast is being made, to be held against what was observed …", "sub"))


def held_sentence(city: City, forecast: NetworkForecast) -> str:
    """How many observed values, of stations and of all together, lay inside the 90 % intervals of a forecast; empty without any."""
    observed = city.traffic.reindex(forecast.timestamps).to_numpy().T
    known = np.isfinite(observed) & np.isfinite(forecast.low)
    if not known.any():
        return ""
    inside = float(((forecast.low <= observed) & (observed <= forecast.high))[known].mean())
    words = f"Yesterday's 90{formats.THIN}% intervals held {formats.share(inside)} of {int(known.sum()):,} values of stations"
    fan = forecast.together
    if fan is not None:
        total = forecasts.observed(city, fan)
        seen = np.isfinite(total)
        if seen.any():
            share = float(((fan.low_90 <= total) & (total <= fan.high_90))[seen].mean())
            words += f", and {formats.share(share)} of those of the whole network"
    return f"{words}."
