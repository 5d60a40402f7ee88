"""The app's entry, twice: imported by the server it is the server; run for a visitor it is the page he sees.

As the page: theme, the chosen city, navigation. `lecdiff app` starts it, `streamlit run app.py` does the same.
"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from lecdiff_core.errors import UserError
from pages.parts.data import cities
from pages.parts.look import glossary
from pages.parts.look.columns import SIDES
from pages.parts.look.formats import literal
from pages.parts.map.headers import SecurityHeaders
from pages.parts.map.routes import routes
from pages.parts.map.views import VIEWS
from pages.parts.state import session, window
from pages.parts.state.widget_keys import keyed
from pages.parts.station import panel

HERE = Path(__file__).parent


def main() -> None:
    """One run for one visitor."""
    st.set_page_config(
        page_icon="📡", layout="wide"
    )  # before the navigation, which would ask a host outside for an icon
    st.html(HERE / "assets" / "style.css")
    window.ask()
    network_map = st.Page(
        HERE / "pages" / "network_map.py", title="Network map", icon=":material/map:", url_path="map", default=True
    )
    surges = st.Page(HERE / "pages" / "surges.py", title="Surges", icon=":material/trending_up:", url_path="surges")
    environment = st.Page(
        HERE / "pages" / "environment.py",
        title="Environment",
        icon=":material/satellite_alt:",
        url_path="environment",
    )
    accuracy = st.Page(
        HERE / "pages" / "accuracy.py", title="Accuracy", icon=":material/query_stats:", url_path="accuracy"
    )
    new_site = st.Page(
        HERE / "pages" / "new_site.py", title="New site", icon=":material/add_location_alt:", url_path="new-site"
    )
    what_if = st.Page(HERE / "pages" / "what_if.py", title="What if", icon=":material/alt_route:", url_path="what-if")
    data = st.Page(HERE / "pages" / "data.py", title="Data", icon=":material/database:", url_path="data")
    tour = st.Page(HERE / "pages" / "tour.py", title="Tour", icon=":material/tour:", url_path="tour")
    page = st.navigation([network_map, surges, environment, new_site, what_if, accuracy, data, tour], position="top")
    st.set_page_config(f"{page.title} · LEC-Diff")
    if open_city():
        page.run()


def open_city() -> bool:
    """The chosen city and the head of every page. False where no city can be shown."""
    places = cities.places()
    if not places:
        st.info(
            "There is no city yet. Make one with `lecdiff demo cities/demo`, or import your own with `lecdiff import`."
        )
        return False
    place = session.choose_place(places)
    title, choices = st.columns(SIDES, gap="medium", vertical_alignment="center")
    choice, about, words = choices.columns([6, 5, 4], vertical_alignment="center")
    if len(places) > 1:
        names = {other.key: f"{other.name} ({other.trouble})" if other.trouble else other.name for other in places}
        choice.selectbox(
            "City",
            list(names),
            **keyed(session.CITY_BOX, place.key, session.choose_city),
            format_func=lambda key: names.get(key, key),
            label_visibility="collapsed",
        )
    try:
        city = cities.open_city(place.path)
    except UserError as error:
        st.error(f"This city cannot be opened. {literal(error)}", icon=":material/folder_off:")
        return False
    session.enter(place, city, VIEWS)
    with title:
        panel.city_title(city)
    with about, st.popover("About this city", width="stretch"):
        panel.about(city)
    with words:
        glossary.button()
    return True


if __name__ == "__main__":
    main()
else:
    # `st.navigation` says so, too, but only to a first visitor: his link would lead into a file of pages/ without this one.
    PagesManager.uses_pages_directory = False
    app = st.App(
        Path(__file__).resolve(),
        routes=routes(st.get_option("server.baseUrlPath")),
        middleware=[Middleware(SecurityHeaders)],
    )
