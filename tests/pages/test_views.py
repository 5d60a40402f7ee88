"""What the map shows of the forecast, comparing, and what can be taken away; run without a browser."""

import csv
import io
import json
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from visitor import MODEL, keyed, link_of, select_on_map, text_of

from lecdiff_core.city.folder import City, write_city
from pages.parts.charts import drawing, exports, report
from pages.parts.data import forecasts, network_forecast, traffic_levels
from pages.parts.look import colours
from pages.parts.map import views
from pages.parts.map.views.forecast import NOT_FORECAST
from pages.parts.state import session

NOON = "2025-06-12T12:00"
ORIGIN = pd.Timestamp(NOON, tz="UTC")


@pytest.fixture(scope="module")
def flat(cities_folder):
    return City.open(cities_folder / "flatland")


@pytest.fixture(scope="module")
def whole(flat):
    """The forecast of all stations, waited for."""
    for _ in range(600):
        work = network_forecast.look(flat, MODEL, ORIGIN)
        if work.result is not None or work.trouble:
            return work.result
        time.sleep(0.1)
    raise AssertionError("the forecast of all stations never came")


def test_the_forecast_of_all_stations_is_that_of_each(flat, whole):
    assert whole.median.shape == (12, 48)
    for row in (0, 4, 11):
        fan = forecasts.fan(flat, MODEL, flat.station_ids[row], ORIGIN)
        np.testing.assert_allclose(whole.median[row], fan.median, rtol=1e-4)
        np.testing.assert_allclose(whole.high[row], fan.high_90, rtol=1e-4)
    assert (whole.low <= whole.median).all() and (whole.median <= whole.high).all()
    assert (whole.exceeding.max(1) <= whole.exceeding_once + 1e-6).all()


def test_congestion_by_a_rule_is_what_the_map_shows_where_rules_agree(flat, whole):
    usual, given = (
        whole.congestion[rule].set_index("station_id") for rule in (traffic_levels.USUAL, traffic_levels.GIVEN)
    )
    assert given.index.tolist() == ["ST-00"] and set(usual.index) == set(flat.station_ids)
    assert usual["probability"].is_monotonic_decreasing
    once = dict(zip(flat.station_ids, whole.exceeding_once, strict=True))
    assert given.loc["ST-00", "probability"] == pytest.approx(once["ST-00"])
    others = usual.drop("ST-00")
    np.testing.assert_allclose(others["probability"], [once[station_id] for station_id in others.index], atol=1e-6)


def test_stations_without_a_forecast_say_why(flat, tmp_path):
    traffic = flat.traffic.copy()
    traffic.loc[traffic.index[traffic.index < ORIGIN][:-5], "ST-03"] = np.nan
    quiet = write_city(tmp_path / "quiet", flat.meta, flat.stations, traffic)
    shutil.copytree(flat.path / "models", quiet.path / "models")
    found = network_forecast._forecast_all(network_forecast.Work(), quiet, MODEL, ORIGIN)
    assert "1 station is left out (ST-03)" in found.notices[0]
    assert "ST-03" not in set(found.congestion[traffic_levels.USUAL]["station_id"])
    for view in (views.FORECAST, views.WIDTH, views.RISK):
        texts = view.painted(quiet, found, session.ALL_AHEAD).texts
        assert [text == NOT_FORECAST for text in texts] == [name == "ST-03" for name in quiet.station_ids]


def test_what_nobody_looks_at_is_given_up_and_begun_again(flat, monkeypatch):
    monkeypatch.setattr(network_forecast, "GIVEN_UP_SECONDS", -1.0)
    origin = ORIGIN - pd.Timedelta("1h")
    work = network_forecast.look(flat, MODEL, origin)
    for _ in range(600):
        if work.given_up:
            break
        time.sleep(0.05)
    assert work.given_up and work.result is None
    monkeypatch.setattr(network_forecast, "GIVEN_UP_SECONDS", 60.0)
    for _ in range(600):
        if network_forecast.look(flat, MODEL, origin).result is not None:
            return
        time.sleep(0.1)
    raise AssertionError("it was never begun again")


@pytest.mark.parametrize("step", [0, 1, 48])
@pytest.mark.parametrize("view", [views.FORECAST, views.WIDTH, views.RISK], ids=lambda view: view.key)
def test_a_higher_value_is_never_a_smaller_dot_and_the_legend_names_the_time(flat, whole, view, step):
    painted = view.paint(flat, ORIGIN, step)
    values = view.values(whole, step)
    order = np.argsort(values)
    assert (np.diff(painted.sizes[order]) >= 0).all()
    assert painted.colours.shape == (12, 4) and len(painted.texts) == 12
    legend = view.legend(flat, ORIGIN, step).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert ("in 24 h" in legend) == (step == 0)
    assert colours.gradient(view.ramp) in legend


def test_an_hour_beyond_the_forecast_is_refused(flat, whole):
    with pytest.raises(IndexError):
        views.FORECAST.paint(flat, ORIGIN, 49)


def test_kinds_are_named_and_a_station_without_chip_is_told(flat):
    painted = views.KIND.paint(flat, ORIGIN)
    assert painted.texts[11] == "no satellite chip" and tuple(painted.colours[11]) == colours.NO_DATA
    assert views.KIND.legend(flat, ORIGIN).count("<i style") == len(set(painted.texts) - {"no satellite chip"})


def test_capacity_is_the_given_one_or_what_the_past_stayed_below(flat):
    limits = traffic_levels.given_or_usual(traffic_levels.capacities(flat, ORIGIN, np.arange(12)))
    past = flat.traffic.loc[: ORIGIN - flat.interval]
    assert limits[0] == 4000
    assert ((past.iloc[:, 1:] <= limits[1:]).mean() > 0.98).all()


def until(app, told):
    """Looks at the page again, as its browser would, until the forecast of all stations is there."""
    for _ in range(600):
        assert not app.exception
        if told in text_of(app):
            return
        time.sleep(0.1)
        app.run()
    raise AssertionError(f"{told!r} never came")


def test_a_link_opens_a_view_and_a_wrong_one_is_told(open_app):
    app = open_app(by="risk", t=NOON)
    until(app, "Risk in")
    assert link_of(app, "by") == "risk"
    app = open_app(by="<b>", t=NOON)
    assert any("cannot be coloured" in warning.value for warning in app.warning) and link_of(app, "by") is None


def test_the_box_colours_by_another_view_and_the_slider_leads_ahead(open_app):
    app = open_app(t=NOON)
    keyed(app.select_slider, "ahead_box").set_value(3).run()
    until(app, "Median Thu 13:00")
    keyed(app.selectbox, "by_box").select("width").run()
    until(app, "Width Thu 13:00")
    assert link_of(app, "by") == "width"
    keyed(app.selectbox, "by_box").select("load").run()
    assert "Load 11:30" in text_of(app) and link_of(app, "by") is None


def test_surges_that_nobody_looked_for_are_offered(open_app):
    app = open_app(by="surge", t=NOON)
    assert not app.exception
    assert any("not been looked for" in info.value for info in app.info)


def test_a_stale_value_of_a_widget_does_not_undo_a_click(open_app):
    app = open_app(t=NOON)
    old = keyed(app.selectbox, "search_box").key
    app = select_on_map(app, "stations", {"station_id": "ST-04"})
    assert keyed(app.selectbox, "search_box").key != old
    assert keyed(app.selectbox, "search_box").value == "ST-04"


def test_stations_are_compared_by_switch_list_click_and_link(open_app):
    app = open_app(station="ST-04", t=NOON)
    keyed(app.toggle, "compare_switch").set_value(True).run()
    assert "<h2>1 station</h2>" in text_of(app)
    app = select_on_map(app, "stations", {"station_id": "ST-05"})
    keyed(app.multiselect, "several_box").select("ST-06").run()
    assert not app.exception and "<h2>3 stations</h2>" in text_of(app)
    assert app.query_params["with"] == ["ST-05", "ST-06"] and link_of(app, "station") == "ST-04"
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert [line["name"] for line in figure["data"] if line.get("showlegend")] == ["ST-04", "ST-05", "ST-06"]
    for other in ("ST-07", "ST-08"):
        app = select_on_map(app, "stations", {"station_id": other})
    assert app.session_state["compared"] == ["ST-04", "ST-05", "ST-06", "ST-08"]
    keyed(app.toggle, "compare_switch").set_value(False).run()
    assert "<h2>ST-08</h2>" in text_of(app)


def test_past_intervals_are_held_against_what_came_before_the_time_of_forecast(flat):
    fans = list(forecasts.past_fans(flat, MODEL, ("ST-04",), ORIGIN))
    assert len(fans) == forecasts.PAST_DAYS and all(fan.timestamps[-1] < ORIGIN for fan in fans)
    kept = forecasts.past_coverage(flat, fans, ORIGIN)
    inside = [
        ((fan.low_90 <= came) & (came <= fan.high_90)).sum()
        for fan in fans
        for came in [flat.traffic["ST-04"].reindex(fan.timestamps).to_numpy()]
    ]
    assert kept.count == 48 * len(fans) and kept.inside_90 == pytest.approx(sum(inside) / kept.count)
    assert kept.inside_50 <= kept.inside_90


def test_the_panel_shows_how_past_intervals_held(open_app):
    assert "Its values of the 7 days before" in text_of(open_app(station="ST-04", t=NOON))


def test_numbers_come_back_from_the_csv(flat):
    fan = forecasts.fan(flat, MODEL, "ST-04", ORIGIN)
    rows = list(csv.DictReader(io.StringIO(exports.csv(flat, {"ST-04": fan}).decode())))
    np.testing.assert_allclose([float(row["q50"]) for row in rows], fan.median, atol=1e-3)
    assert [pd.Timestamp(row["timestamp"]) for row in rows] == list(fan.timestamps)
    name = exports.file_name(flat, ["../<b>", "x y"], ORIGIN, ".csv")
    assert re.fullmatch(r"[A-Za-z0-9._-]+\.csv", name) and ".." not in name.replace(".csv", "")


def test_the_report_stands_alone_and_shows_hostile_text_as_text(flat):
    fan = forecasts.fan(flat, MODEL, "ST-04", ORIGIN)
    facts = {"Name": "<script>alert(1)</script>"}
    page = report.page(flat, "ST-04", ORIGIN, fan, facts, ["a < b"], "<img src=x>", None)
    assert "<script" not in page and "<img src=x>" not in page and "&lt;img src=x&gt;" in page
    assert "default-src 'none'" in page and 'src="data:image/jpeg;base64,' in page and "Drawn by hand" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_the_drawing_is_valid_and_has_gaps_where_nothing_was_observed(flat):
    from xml.etree import ElementTree

    fan = forecasts.fan(flat, MODEL, "ST-02", pd.Timestamp("2025-06-12T18:00", tz="UTC"))
    root = ElementTree.fromstring(drawing.fan_drawing(flat, "ST-02", fan.timestamps[0], fan))
    assert root.get("viewBox") == "0 0 920 400"
    ElementTree.fromstring(drawing.locator_drawing(flat, "ST-02"))
    numbers = [
        float(value)
        for path in root.iter("{http://www.w3.org/2000/svg}path")
        for value in re.findall(r"[\d.]+", path.get("d"))
    ]
    assert max(numbers) <= 920 and np.isfinite(numbers).all()
