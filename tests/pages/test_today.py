"""What matters now, beside the map while no station is chosen."""

import numpy as np
import pytest
from test_views import ORIGIN, flat, whole  # noqa: F401 (fixtures)
from visitor import text_of

from pages.parts.events import today
from pages.parts.map import views

NOON = "2025-06-12T12:00"


@pytest.fixture
def forecast_is_there(flat, whole):  # noqa: F811
    """Both forecasts that the lines are read off, waited for."""
    import time

    before = ORIGIN - today.DAY
    for _ in range(600):
        if not views.forecast_of(flat, before).waiting:
            return
        time.sleep(0.1)
    raise AssertionError("never there")


def test_each_line_leads_to_where_it_is_worked_on(open_app, flatland, forecast_is_there):
    app = open_app(t=NOON)
    assert not app.exception
    shown = text_of(app)
    assert "What matters now" in shown and "in the next 24 h" in shown
    assert "since Wed 12:00" in shown or "looked for up to" in shown
    assert {link.proto.label for link in app.get("page_link")} >= {"Congestion", "Surges"}


def test_where_surges_were_never_looked_for_it_says_so(open_app, forecast_is_there):
    app = open_app(t=NOON)
    assert not app.exception and "Surges have not been looked for" in text_of(app)


def test_what_held_is_counted_over_what_was_observed(flat, whole):  # noqa: F811
    observed = flat.traffic.reindex(whole.timestamps).to_numpy().T
    known = np.isfinite(observed) & np.isfinite(whole.low)
    inside = ((whole.low <= observed) & (observed <= whole.high))[known].mean()
    words = today.held_sentence(flat, whole).replace("\N{NARROW NO-BREAK SPACE}", "")
    assert f"{known.sum():,} values of stations" in words and f"{100 * inside:.0f}%" in words


def test_a_station_takes_the_place_of_it(open_app):
    app = open_app(t=NOON, station="ST-04")
    assert not app.exception and "What matters now" not in text_of(app)
