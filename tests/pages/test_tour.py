"""The guided tour, run without a browser on the shipped demo city."""

import pytest
from visitor import link_of, text_of

PAGE = "pages/tour.py"
STOPS = 9


@pytest.fixture
def open_tour(open_app):
    """The tour at a link."""

    def opened(**link: str):
        app = open_app(city="demo")
        for name, value in link.items():
            app.query_params[name] = value
        return app.switch_page(PAGE).run()

    return opened


def step(app, key):
    return app.button(key=key).click().run()


def test_the_stops_lead_from_the_town_to_what_if_and_back(open_tour):
    app = open_tour()
    titles = []
    for number in range(1, STOPS + 1):
        assert not app.exception and not app.warning
        shown = text_of(app)
        assert f"Stop {number} of {STOPS}" in shown and shown.count('class="lec-here"') == 1
        assert link_of(app, "stop") == str(number)
        titles.append(shown.split("<h2>")[1].split("</h2>")[0])
        assert app.button(key="back").disabled == (number == 1)
        app = step(app, "next")
    assert len(set(titles)) == STOPS
    assert f"Stop 1 of {STOPS}" in text_of(app)


def test_a_link_leads_to_a_stop_and_one_that_leads_nowhere_to_the_first(open_tour):
    assert f"Stop 2 of {STOPS}" in text_of(open_tour(stop="2"))
    for wanted in ("0", "10", "²", "<b>", "-1"):
        app = open_tour(stop=wanted)
        assert not app.exception and f"Stop 1 of {STOPS}" in text_of(app)


def test_the_second_stop_strikes_out_what_was_put_in_and_nothing_else(open_tour):
    shown = text_of(open_tour(stop="2"))
    assert shown.count("<del") == 3
    for start in ("A wide lake", "The largest hall", "The harmonious blend"):
        assert start in shown.split("<del", 1)[1]


def test_the_second_stop_shows_a_removed_sentence_and_the_forecast_is_of_the_same_station(open_tour):
    app = open_tour(stop="2")
    station = link_of(app, "station")
    assert "<del" in text_of(app) and f"<h2>{station}</h2>" in text_of(app)
    app = step(step(app, "next"), "next")
    assert link_of(app, "station") == station
    assert len(app.get("plotly_chart")) == 1 and "values observed since" in text_of(app)


def test_the_surge_starts_after_the_forecast_and_left_its_interval(open_tour):
    app = open_tour(stop="7")
    shown = text_of(app).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "were expected" in shown and "left their forecasts with it" in shown
    assert link_of(app, "station") in shown


def test_another_city_offers_the_demo_city(open_app):
    app = open_app(city="flatland").switch_page(PAGE).run()
    assert not app.exception and "A tour through the demo city" in text_of(app)
    app = next(button for button in app.button if button.label.startswith("Open the demo")).click().run()
    app = app.switch_page("app.py").run()  # which a browser runs around every page
    assert "<h1>Gulfmouth" in text_of(app)
    app = app.switch_page(PAGE).run()
    assert not app.exception and f"Stop 1 of {STOPS}" in text_of(app)
