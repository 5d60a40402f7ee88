"""Tour: nine stops through the demo city, for demonstrations, from the town seen from above to a site that is not built yet.

Every stop shows the very parts that the other pages are made of, on a station that is picked from the data.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import City
from lecdiff_core.environment.descriptions.record import Description
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.results import models
from lecdiff_core.models.names import OURS
from pages.parts.charts import accuracy_charts, forecast_charts
from pages.parts.data import areas, cities, findings, measured, new_sites, surge_results, surroundings, traffic_levels
from pages.parts.data.cities import Place
from pages.parts.data.new_sites import Site
from pages.parts.look import formats
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks
from pages.parts.map import basemap, site_map, views
from pages.parts.map import station_map as station_map
from pages.parts.state import address, session
from pages.parts.station import description, estimates, panel
from pages.parts.station.chips import chips, likeness_of

STOP, STOOD = "stop", "tour_stood"  # keys of the stop, and of where the visitor was led last
PUT_IN = (  # into a true description, at the second stop
    "A wide lake fills the lower half.",
    "The largest hall is perhaps a film studio.",
    "The harmonious blend of old and new makes it a wonderful place to live.",
)
SIDES = (5, 7)
MAP_SHARE = SIDES[1] / sum(SIDES)
MAP_HEIGHT = 470
DISTRICT = "20"  # the station and its nearest, the key of an area
IMAGINED = "A stadium with a large car park stands beside dense housing."


@dataclass(frozen=True)
class Stop:
    """One stop: its title and text, the station and time it is about, what it shows, and the page that goes on."""

    title: str
    text: str
    where: Callable[[City], tuple[str | None, pd.Timestamp]]
    show: Callable[[Place, City], None]
    page: str
    more: str


def main() -> None:
    """The page, from top to bottom."""
    place = session.place()
    if place.path.resolve() != (assets_folder() / "demo").resolve():
        elsewhere()
        session.write_link(place)
        return
    city = session.city()
    number = arrive(city)
    stop = STOPS[number - 1]
    words, shown = st.columns(SIDES, gap="large")
    with words:
        st.html(
            blocks.within(
                "tour",
                [
                    blocks.paragraph(f"Stop {number} of {len(STOPS)}", "sub"),
                    blocks.heading(stop.title),
                    blocks.paragraphs(stop.text),
                ],
            )
        )
        ways(number)
        st.page_link(stop.page, label=stop.more, icon=":material/arrow_outward:")
    with shown:
        stop.show(place, city)
    session.write_link(place, {address.STOP: str(number)})


def elsewhere() -> None:
    """Another city is open: the tour only knows the demo city."""
    st.html(
        blocks.within(
            "tour",
            [
                blocks.heading("A tour through the demo city"),
                blocks.paragraph(
                    f"In {len(STOPS)} stops it shows what this application does, in a fictional town whose map, traffic and "
                    "events agree with each other."
                ),
            ],
        )
    )
    demo = next((one for one in cities.places() if one.path.resolve() == (assets_folder() / "demo").resolve()), None)
    if demo:
        st.button("Open the demo city and begin", type="primary", on_click=session.choose_city, args=(demo.key,))
    else:
        st.info("The demo city is hidden by another city of the same name.", icon=":material/folder_off:")


def arrive(city: City) -> int:
    """The number of the stop, by the link at first; on arrival its station and time become the chosen ones."""
    state = st.session_state
    if STOP not in state:
        wanted = address.STOP.read()
        state[STOP] = int(wanted) if wanted.isdecimal() and 1 <= int(wanted) <= len(STOPS) else 1
    number = state[STOP]
    if state.get(STOOD) != number:
        state[STOOD] = number
        station_id, time = STOPS[number - 1].where(city)
        session.select(station_id, city)
        session.go_to(time)
    return number


def ways(number: int) -> None:
    """Dots for where one is, and the buttons back and on."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="ways"):
        st.button(
            "Back", icon=":material/arrow_back:", on_click=lead, args=(number - 1,), disabled=number == 1, key="back"
        )
        st.html(blocks.dots(number, len(STOPS)), width="content")
        last = number == len(STOPS)
        st.button(
            "From the start" if last else "Next",
            icon=":material/replay:" if last else ":material/arrow_forward:",
            on_click=lead,
            args=(1 if last else number + 1,),
            type="primary",
            key="next",
        )


def lead(number: int) -> None:
    """Go to a stop."""
    st.session_state[STOP] = number


# ---- whom the stops are about, picked from the data


def busiest_time(city: City) -> pd.Timestamp:
    """The time that the map opens at: the busiest of the last day that has a whole day after it."""
    return traffic_levels.opening_time(city, pd.Timestamp.now(tz=city.meta.timezone))


def described(city: City) -> tuple[str, Description] | None:
    """A station whose description stood whole: the one that agrees best with its image and says most."""
    candidates = [
        ((said[0].image_score or 0.0) + (said[0].text_score or 0.0), station_id, said[0])
        for station_id, said in surroundings.descriptions(city).items()
        if all(sentence.kept for sentence in said[0].sentences) and city.chip(station_id)
    ]
    best = max(candidates, key=lambda one: (one[0], one[1]), default=None)
    return None if best is None else (best[1], best[2])


def strongest(city: City) -> pd.Series | None:
    """The surge above the forecast that chance would bring least often."""
    stored = surge_results.stored_surges(city)
    events = None if stored is None else stored.events[stored.events["direction"] == "above"]
    if events is None or events.empty:
        return None
    return events.sort_values(["false_alarms_per_day", "strength"], ascending=[True, False]).iloc[0]


def at_the_town(city: City) -> tuple[str | None, pd.Timestamp]:
    """No station, the busiest time."""
    return None, busiest_time(city)


def at_the_busiest(city: City) -> tuple[str | None, pd.Timestamp]:
    """The station with the most load at the busiest time."""
    time = busiest_time(city)
    return traffic_levels.busiest(city, time, 1)[0][0], time


def at_the_described(city: City) -> tuple[str | None, pd.Timestamp]:
    """The station whose description is shown."""
    example = described(city)
    return (example[0] if example else city.station_ids[0]), busiest_time(city)


def at_the_surge(city: City) -> tuple[str | None, pd.Timestamp]:
    """The station that surged most, when its surge began."""
    event = strongest(city)
    if event is None:
        return city.station_ids[0], busiest_time(city)
    return event["station_id"], event["start"].tz_convert(city.meta.timezone)


# ---- what the stops show


def show_town(place: Place, city: City) -> None:
    """The map, coloured by load."""
    station_map.draw(place, city, key="map-of-the-town", whole=True, share=MAP_SHARE)
    load = views.LOAD.legend(city, session.origin())
    st.html(blocks.within("under", [load, basemap.attribution(city)]))


def show_description(place: Place, city: City) -> None:
    """The chip, and what was said of it: the description with sentences that were put into it, and what became of them."""
    station_id = str(session.station())
    said = surroundings.descriptions(city).get(station_id)
    image, words = st.columns([5, 7], gap="medium")
    with image:
        st.html(panel.chip(place, city, station_id, "lec-chip lec-large"))
    with words:
        st.html(blocks.heading(station_id))
        if not said:
            st.info("This station has no description.", icon=":material/hourglass_empty:")
            return
        st.html(description.whole(surroundings.refined_with(city, said[0], PUT_IN)))


def show_lookalikes(place: Place, city: City) -> None:
    """Arcs to the stations in like surroundings, and their chips."""
    station_id = str(session.station())
    alike = surroundings.alike_or_none(city, station_id)
    if alike is None:
        st.info("The stations of this city have not been compared.", icon=":material/hourglass_empty:")
        return
    others = alike["station_id"].tolist()
    arcs = station_map.arcs(city, station_id, others)
    station_map.draw(place, city, key="tour-map", below=arcs, whole=True, height=MAP_HEIGHT - 120, share=MAP_SHARE)
    st.html(basemap.attribution(city))
    notes = [likeness_of(*row) for row in zip(alike["similarity"], alike["distance_m"], strict=True)]
    chips(place, city, "tour", [station_id, *others], ["the chosen one", *notes], 1 + surroundings.LOOKALIKES)


def show_forecast(place: Place, city: City) -> None:  # noqa: ARG001 (as every stop)
    """The forecast of the station, what was observed, and how earlier ones held."""
    station_id = str(session.station())
    st.html(blocks.heading(station_id))
    later = panel.forecast(city, areas.alone(station_id), session.origin())
    if later:
        later()


def show_accuracy(place: Place, city: City) -> None:  # noqa: ARG001 (as every stop)
    """The committed comparison of models on this town."""
    measurements = measured.of_city(city)
    by_name = models(measurements.results) if measurements else {}
    if not by_name:
        st.info("This city has not been measured.", icon=":material/query_stats:")
        return
    whole = [model for name, model in by_name.items() if accuracy_charts.group(name) != "LEC-Diff with a part changed"]
    st.html(blocks.heading("Error of every model") + blocks.paragraph(findings.standing(by_name)))
    st.plotly_chart(
        accuracy_charts.ranking(whole, by_name.get(OURS)),
        key="tour-ranking",
        config=forecast_charts.CONFIG,
        alt="Models by error",
    )


def show_surge(place: Place, city: City) -> None:
    """The surge on the map, and the forecast made before it beside what was observed."""
    event = strongest(city)
    if event is None:
        st.info("Surges of this city have not been looked for.", icon=":material/hourglass_empty:")
        return
    unit, others = city.meta.unit, len(set(event["stations"])) - 1
    peak = event["peak_time"].tz_convert(city.meta.timezone)
    observed, low, high = (formats.amount(float(event[name]), unit) for name in ("observed", "low", "high"))
    st.html(
        blocks.heading(f"{event['station_id']}, {formats.moment(peak)}")
        + blocks.paragraph(
            f"{observed} observed where {low} to {high} were expected. {others} other stations left their forecasts with it."
        )
    )
    arcs = station_map.arcs(city, event["station_id"], sorted(set(event["stations"]) - {event["station_id"]}))
    after = city.timeline.after(peak)
    station_map.draw(place, city, key="tour-map", below=arcs, height=MAP_HEIGHT - 170, view=views.SURGE, at=after)
    legend = views.SURGE.legend(city, after)
    st.html(blocks.within("under", [legend, basemap.attribution(city)]))
    later = panel.forecast(city, areas.alone(event["station_id"]), session.origin())
    if later:
        later()


def show_district(place: Place, city: City) -> None:
    """The forecast of the station and its nearest as one, and where they are."""
    area = areas.around(city, str(session.station()))[DISTRICT]
    outline = [station_map.outline(city, area.stations)]
    station_map.draw(place, city, key="tour-map", below=outline, height=MAP_HEIGHT - 190, share=MAP_SHARE)
    st.html(basemap.attribution(city))
    later = panel.forecast(city, area, session.origin())
    if later:
        later()


def show_site(place: Place, city: City) -> None:
    """What a site in the widest gap of the network would carry."""
    site = Site("A", *site_map.widest_gap(city))
    answers = new_sites.forecast(city, (site,), session.origin())
    st.html(blocks.heading(f"A site at {formats.position(site.lon, site.lat)}"))
    estimates.site_facts(city, site, answers.sites[0])
    estimates.site_charts(city, answers, site.name)
    estimates.site_alike(place, city, answers.sites[0])


def show_what_if(place: Place, city: City) -> None:
    """The station's forecast of today, and with other things around it."""
    station_id = str(session.station())
    st.html(blocks.heading(station_id) + blocks.paragraph(f"“{IMAGINED}”", "said"))
    answered = new_sites.changed(city, station_id, IMAGINED, (), 1.0, session.origin())
    estimates.changed(city, station_id, answered)
    names = [name for name, _ in answered.lookalikes_after[: estimates.LOOKALIKES]]
    st.html(blocks.part("It would resemble"))
    notes = [f"likeness {fit:.2f}" for _, fit in answered.lookalikes_after]
    chips(place, city, "tour-if", names, notes, estimates.LOOKALIKES)


STOPS = (
    Stop(
        "A town seen from above",
        "Each dot is a base station, its colour and size the traffic it carried in the last half hour. The town is fictional: "
        "its map, its traffic and its events were made together, so that they agree.\n"
        "A planner wants to know what each of these stations will carry tomorrow, how sure that is, and where something unusual "
        "begins.",
        at_the_town,
        show_town,
        "pages/network_map.py",
        "Open the network map",
    ),
    Stop(
        "What stands around a station",
        "For every station there is a satellite image, and a language model says in words what it shows.\n"
        "Such texts may claim things that are not there, guess, or say nothing at all. So every sentence is checked. "
        "To show it, we put three into the text: a lake, a film studio and praise. They are struck through, with the reason "
        "beside them.",
        at_the_described,
        show_description,
        "pages/environment.py",
        "Open its surroundings",
    ),
    Stop(
        "Stations that stand in like places",
        "Image and text become one list of numbers a station. Where those lie close together, the surroundings are alike, however "
        "far apart the stations are.\n"
        "The model that forecasts gets these numbers, too: besides past traffic and neighbours, it knows what the place is like.",
        at_the_described,
        show_lookalikes,
        "pages/environment.py",
        "Compare more stations",
    ),
    Stop(
        "A forecast that says how sure it is",
        "A diffusion model draws a hundred possible futures for the next 24 hours. Half of them lie in the dark band, nine of ten "
        "in the light one; the line is their middle.\n"
        "The orange line was observed. The bars tell how often the bands of the days before held: the marks are where they should "
        "end.",
        at_the_described,
        show_forecast,
        "pages/network_map.py",
        "Try other stations",
    ),
    Stop(
        "A district at once",
        "The futures of all stations belong together: a busy evening is busy for its neighbours, too. So the sum of a district has "
        "a forecast of its own, with a peak, a total and an interval that holds.\n"
        "Adding up the single intervals would promise far too much, or far too little.",
        at_the_busiest,
        show_district,
        "pages/network_map.py",
        "Choose another area",
    ),
    Stop(
        "How good it is",
        "Every model forecast the same days, none of which it was trained on. The error is the distance between the whole forecast "
        "distribution and what was observed, as a share of the traffic: further left is better.\n"
        "Differences that the days measured cannot settle are called ties.",
        at_the_described,
        show_accuracy,
        "pages/accuracy.py",
        "All figures",
    ),
    Stop(
        "A surge caught",
        "Traffic leaves the bands that were forecast before, and its neighbours leave theirs at the same time: that is a surge. "
        "Arcs lead to the stations that did so together.\n"
        "How many false alarms a day one is willing to hear sets how many surges are shown.",
        at_the_surge,
        show_surge,
        "pages/surges.py",
        "All surges",
    ),
    Stop(
        "A site that is not built yet",
        "Here stands no station, so there is no history. What a site would carry is estimated from its satellite image, from "
        "stations in like surroundings and from those around.\n"
        "How wide the bands are is measured, too: it is how wrong the same estimate is for stations whose traffic is known.",
        at_the_described,
        show_site,
        "pages/new_site.py",
        "Put a site of your own",
    ),
    Stop(
        "What if?",
        "What would this station carry if a stadium stood beside it? The words are compared with the descriptions of all stations, "
        "and the forecast moves to where places like that lie.\n"
        "It is an estimate, and nothing of it is saved.",
        at_the_described,
        show_what_if,
        "pages/what_if.py",
        "Ask your own",
    ),
)


def guarded() -> None:
    """The page, with a word where a file of the city cannot be read."""
    try:
        main()
    except UserError as error:
        st.warning(f"This stop cannot be shown. {literal(error)}", icon=":material/error:")


guarded()
