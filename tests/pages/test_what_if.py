"""The What if page: the forecast as it would be stands beside that of today, and nothing is saved."""

import numpy as np
import pytest
from visitor import text_of

from lecdiff_core.city.folder import City
from pages.parts.charts import exports
from pages.parts.data import new_sites

PAGE = "pages/what_if.py"
NOON = "2025-06-12T12:00"


@pytest.fixture
def open_page(open_app):
    """The page at a link."""
    return lambda **link: open_app(**link).switch_page(PAGE).run()


def test_it_says_how_to_begin(open_page):
    app = open_page()
    assert not app.exception and "What if" in text_of(app)


def test_nothing_changed_is_the_forecast_of_today(open_page):
    app = open_page(station="ST-04", t=NOON)
    assert not app.exception
    shown = text_of(app)
    today, then = (shown.split(name)[1].split("</tr>")[0] for name in ("<td>Today", "<td>As it would be"))
    assert today == then and len(app.get("plotly_chart")) == 1


def test_demand_and_neighbours_move_the_forecast(open_page):
    app = open_page(station="ST-04", t=NOON)
    app.select_slider(key="demand-flatland-ST-04").set_value(2.0).run()
    shown = text_of(app)
    today, then = (shown.split(name)[1].split("</tr>")[0] for name in ("<td>Today", "<td>As it would be"))
    assert not app.exception and today != then
    app.multiselect(key="off-flatland-ST-04").set_value(app.multiselect(key="off-flatland-ST-04").options[:1]).run()
    assert not app.exception


def test_a_file_holds_both_sides(cities_folder):
    import pandas as pd

    city = City.open(cities_folder / "flatland")
    answered = new_sites.changed(city, "ST-04", None, (), 2.0, pd.Timestamp(NOON, tz="UTC"))
    before, after = (new_sites.fan_of(one, "ST-04") for one in (answered.before, answered.after))
    np.testing.assert_allclose(after.samples, 2 * before.samples, rtol=1e-5)
    head = exports.changed_csv(before, after).decode().splitlines()[0]
    assert head.startswith("station_id,timestamp,mean,q05") and head.endswith(
        "mean_if,q05_if,q25_if,q50_if,q75_if,q95_if"
    )
    assert not list(city.path.glob("**/*what*"))
