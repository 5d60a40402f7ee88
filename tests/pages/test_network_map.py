"""The map page as a visitor meets it, run without a browser."""

import base64
import json
import shutil

import pytest
from visitor import HOSTILE_ID, HOSTILE_NAME, MODEL, keyed, link_of, offered, select_on_map, small_city, text_of

from lecdiff_core.city.folder import City
from pages.parts.data.cities import Place
from pages.parts.look import colours
from pages.parts.map import basemap, views
from pages.parts.map import station_map as station_map
from pages.parts.state import session, window

NOON = "2025-06-12T12:00"


def deck_of(app):
    return json.loads(app.get("deck_gl_json_chart")[0].proto.json)


def stations_of(app):
    """Where the map gets its stations from."""
    return next(layer["data"] for layer in deck_of(app)["layers"] if layer["id"] == "stations")


def fan_of(app):
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def names_of(app):
    return [trace.get("name") for trace in fan_of(app)["data"]]


def test_opens_without_a_link_on_the_whole_city(open_app):
    app = open_app()
    assert not app.exception
    assert "All stations" in text_of(app)
    assert "12 stations · a value every 30 min" in text_of(app).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert link_of(app, "city") == "flatland"
    assert link_of(app, "station") is None


def test_click_shows_the_station_and_its_forecast(open_app):
    app = select_on_map(open_app(t=NOON), "stations", {"station_id": "ST-04"})
    assert not app.exception
    shown = text_of(app).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "<h2>ST-04</h2>" in shown and "Mast 4" in shown
    assert "city/flatland/chips/ST-04" in shown
    assert f"Model {MODEL}, computed on CPU" in shown and "100 samples" in shown
    assert "values observed since" in shown
    assert link_of(app, "station") == "ST-04"
    assert {"90 % interval", "50 % interval", "median", "observed", "observed since"} <= set(names_of(app))
    assert fan_of(app)["layout"]["yaxis"]["title"]["text"].replace("\N{NARROW NO-BREAK SPACE}", " ") == "GB / 30 min"


def test_the_ring_follows_the_selection_and_an_empty_click_changes_nothing(open_app):
    app = select_on_map(open_app(t=NOON), "stations", {"station_id": "ST-05"})
    rings = [layer for layer in deck_of(app)["layers"] if layer["id"].startswith("ring")]
    assert rings[0]["data"]["features"][0]["geometry"]["coordinates"] == pytest.approx([0.004, 0.004])
    app = select_on_map(app, "stations", None)
    assert "<h2>ST-05</h2>" in text_of(app)


def test_a_rerun_is_small_whatever_the_number_of_stations(open_app):
    app = open_app(t=NOON)
    assert len(app.get("deck_gl_json_chart")[0].proto.json) < 4000
    assert stations_of(app).startswith("city/flatland/stations.json?at=2025-06-12T12%3A00")


def test_bands_hold_the_median_and_one_another(open_app):
    traces = [_values(trace["y"]) for trace in fan_of(open_app(station="ST-04", t=NOON))["data"][1:6]]
    assert {len(values) for values in traces} == {48}
    for outer_top, outer_low, inner_top, inner_low, median in zip(*traces, strict=True):
        assert outer_low <= inner_low <= median <= inner_top <= outer_top


def _values(column):
    if isinstance(column, dict):
        import numpy as np

        return np.frombuffer(base64.b64decode(column["bdata"]), dtype=column["dtype"]).tolist()
    return column


def test_search_selects_and_makes_the_map_fly_and_forget_its_selection(open_app):
    app = select_on_map(open_app(t=NOON), "stations", {"station_id": "ST-05"})
    before = app.get("deck_gl_json_chart")[0].proto.id
    keyed(app.selectbox, "search_box").select("ST-07").run()
    assert "<h2>ST-07</h2>" in text_of(app)
    assert app.get("deck_gl_json_chart")[0].proto.id != before
    assert deck_of(app)["initialViewState"]["longitude"] == pytest.approx(0.012)


def test_a_neighbour_is_one_click_away_and_back_to_the_city(open_app):
    app = open_app(station="ST-05", t=NOON)
    near = [button for button in app.button if button.key and button.key.startswith("near-")]
    assert {button.key for button in near} <= {"near-ST-01", "near-ST-04", "near-ST-06", "near-ST-09"}
    near[0].click().run()
    assert f"<h2>{near[0].key.removeprefix('near-')}</h2>" in text_of(app)
    next(button for button in app.button if button.label == "All stations").click().run()
    assert "Busiest before" in text_of(app)


def test_the_slider_moves_the_time_of_forecast_and_the_colours(open_app):
    app = open_app(station="ST-04", t=NOON)
    data = stations_of(app)
    times = keyed(app.select_slider, "clock_box").options
    assert times[0] == "00:00" and times[-1] == "23:30" and len(times) == 48
    keyed(app.select_slider, "clock_box").set_value(app.session_state["origin"].replace(hour=6)).run()
    assert not app.exception
    assert link_of(app, "t") == "2025-06-12T06:00:00+00:00"
    assert stations_of(app) != data


def test_another_day_keeps_the_time_of_day_and_latest_leads_to_the_end(open_app):
    app = open_app(station="ST-04", t=NOON)
    keyed(app.date_input, "day_box").set_value("2025-06-10").run()
    assert link_of(app, "t") == "2025-06-10T12:00:00+00:00"
    next(button for button in app.button if button.label == "Latest").click().run()
    assert link_of(app, "t") == "2025-06-14T00:00:00+00:00"
    assert "Nothing has been observed since" in text_of(app)
    assert "observed since" not in names_of(app)


def test_a_link_leads_to_station_and_time_in_local_time(open_app):
    app = open_app(city="north/milan", station="ST-03", t="2025-06-10T10:00:00Z")
    assert link_of(app, "t") == "2025-06-10T12:00:00+02:00"
    assert "<h1>Milan</h1>" in text_of(app) and "<h2>ST-03</h2>" in text_of(app)


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ({"city": "atlantis"}, "There is no city “atlantis” here"),
        ({"city": "../secret"}, "There is no city “../secret” here"),
        ({"station": "ST-99"}, "Flatland has no station “ST-99”"),
        ({"station": "<script>alert(1)</script>"}, "Flatland has no station"),
        ({"t": "yesterday at tea time"}, "is not a time"),
        ({"t": "1999-01-01T00:00"}, "There are no data at “1999-01-01T00:00”"),
        ({"t": "2999-01-01T00:00"}, "There are no data at"),
        ({"t": "9" * 40}, "is not a time"),
    ],
)
def test_a_link_that_leads_nowhere_is_told_and_does_no_harm(open_app, link, told):
    app = open_app(**link)
    assert not app.exception
    assert any(told in warning.value.replace("\\", "") for warning in app.warning)
    assert "All stations" in text_of(app)


def test_notices_go_when_something_is_chosen(open_app):
    app = select_on_map(open_app(station="ST-99"), "stations", {"station_id": "ST-04"})
    assert not app.warning


def test_a_click_that_names_no_station_of_the_city_is_ignored(open_app):
    app = select_on_map(open_app(), "stations", {"station_id": "../../etc/passwd"})
    assert not app.exception and "All stations" in text_of(app)


def test_a_city_without_model_is_forecast_by_the_base_model_and_says_how_to_get_one(open_app):
    app = open_app(city="north/milan", station="ST-03")
    assert any("no model of its own" in info.value for info in app.info)
    assert any("made with the base model" in caption.value for caption in app.caption)
    assert offered(app) == {"train"}
    assert len(names_of(app)) > len(["observed", "observed since"])
    assert "No satellite chip" in text_of(app)


def test_too_little_history_and_missing_values_are_told(open_app):
    app = open_app(station="ST-04", t="2025-06-02T03:00")
    assert any("No forecast" in warning.value for warning in app.warning)
    app = open_app(station="ST-02", t="2025-06-13T12:00")
    assert not app.exception and "Nothing has been observed since" in text_of(app)


def test_a_damaged_model_is_told_in_the_panel(open_app, cities_folder):
    file = cities_folder / "flatland" / "models" / MODEL / "model.safetensors"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: len(whole) // 2])
        app = open_app(station="ST-04", t=NOON)
        assert not app.exception
        assert any("No forecast" in warning.value for warning in app.warning)
    finally:
        file.write_bytes(whole)


def test_a_city_that_cannot_be_opened_is_told(open_app, cities_folder):
    broken = cities_folder / "broken"
    broken.mkdir()
    try:
        (broken / "city.toml").write_text('name = "Broken"\ntimezone = "UTC"\ninterval = "30min"\n')
        app = open_app(city="broken")
        assert not app.exception
        assert any("cannot be opened" in error.value for error in app.error)
        keyed(app.selectbox, "city_box").select("flatland").run()
        assert "<h1>Flatland</h1>" in text_of(app)
    finally:
        (broken / "city.toml").unlink()
        broken.rmdir()


def test_another_city_starts_afresh(open_app):
    app = open_app(station="ST-04", t=NOON)
    keyed(app.selectbox, "city_box").select("north/milan").run()
    assert link_of(app, "city") == "north/milan" and link_of(app, "station") is None
    assert "<h1>Milan</h1>" in text_of(app)


def test_the_box_is_told_the_city_of_the_link_again_where_a_first_run_was_cut_off(open_app):
    app = open_app(city="hostile")
    box = keyed(app.run().selectbox, "city_box").proto
    assert box.set_value and box.raw_value == HOSTILE_NAME


def test_hostile_names_are_shown_as_text(open_app):
    app = open_app(city="hostile", station=HOSTILE_ID)
    assert not app.exception
    shown = text_of(app)
    assert "<script" not in shown and "<img src=x" not in shown and "<b>MB" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "city/hostile/chips/" not in shown


def test_local_imagery_asks_no_host_and_other_cities_ask_arcgis(open_app, monkeypatch):
    def sources(app):
        style = deck_of(app)["mapStyle"]
        return json.loads(base64.b64decode(style.split(",")[1]))["sources"]

    local = sources(open_app(city="flatland"))
    assert list(local) == ["local"] and local["local"]["tiles"] == ["city/flatland/tiles/{z}/{x}/{y}"]
    app = open_app(city="north/milan")
    remote = sources(app)
    assert list(remote) == ["remote"] and "World_Imagery/MapServer/tile/{z}/{y}/{x}" in remote["remote"]["tiles"][0]
    assert 'Powered by <a href="https://www.esri.com"' in text_of(app)
    monkeypatch.setenv("LECDIFF_TILE_URL", "")
    assert sources(open_app(city="north/milan")) == {}


def test_beyond_local_tiles_the_ground_has_their_colour_and_under_remote_ones_the_plain_one(open_app):
    def ground(app):
        style = json.loads(base64.b64decode(deck_of(app)["mapStyle"].split(",")[1]))
        return colours.rgb(style["layers"][0]["paint"]["background-color"])

    assert ground(open_app(city="flatland")) == pytest.approx([basemap.SHADE * part for part in (80, 110, 60)], abs=4)
    assert ground(open_app(city="north/milan")) == colours.rgb(basemap.BACKGROUND)


def test_a_view_around_some_stations_shows_them_all_and_is_closer_than_the_whole_city(tmp_path):
    ids = [f"S{number}" for number in range(400)]
    city = small_city(tmp_path / "wide", {"name": "W", "timezone": "UTC"}, ids, (0.0, 0.0), [""] * 400)
    view = station_map.view_around(city, ["S5", "S18"])
    scale = station_map.WORLD * 2 ** view["zoom"]
    for place in city.stations.geometry.iloc[[5, 18]]:
        assert abs(place.x - view["longitude"]) / 360 * scale < station_map.NARROW_VIEW[0] / 2
        apart = station_map.mercator(place.y) - station_map.mercator(view["latitude"])
        assert abs(apart) * scale < station_map.NARROW_VIEW[1] / 2
    assert view["zoom"] > station_map.view_of(city, None)["zoom"] + 2


@pytest.mark.parametrize("pixels", [(320.0, 400.0), (650.0, 440.0), (1000.0, 720.0), (1400.0, 1100.0)])
def test_the_whole_city_fills_the_pixels_there_are(tmp_path, pixels):
    ids = [f"S{number}" for number in range(400)]
    city = small_city(tmp_path / "wide", {"name": "W", "timezone": "UTC"}, ids, (0.0, 0.0), [""] * 400)
    view = station_map.view_of(city, None, pixels)
    west, south, east, north = city.stations.total_bounds
    scale = station_map.WORLD * 2 ** view["zoom"]
    taken = ((east - west) / 360 * scale, (station_map.mercator(north) - station_map.mercator(south)) * scale)
    shares = [size / room for size, room in zip(taken, pixels, strict=True)]
    assert max(shares) == pytest.approx(station_map.WHOLE_MARGIN)


@pytest.mark.parametrize(
    ("told", "size"),
    [
        ([1280, 800], (1280, 800)),
        (None, None),
        ([1280], None),
        (["1280", "800"], None),
        ([0, 800], None),
        ([1280, 10**9], None),
        ([1280, float("nan")], None),
    ],
)
def test_only_a_size_that_a_window_can_have_is_believed(monkeypatch, told, size):
    monkeypatch.setattr(window.st, "session_state", {window.KEY: {"size": told}})
    assert window.size() == size
    wide, high = station_map.room(1 / 2, None)
    assert (wide, high) == ((593.0, 440) if size else station_map.SMALLEST_VIEW)


def test_columns_stand_under_each_other_in_a_narrow_window():
    assert window.column(390, 1 / 2) == 390 - window.EDGES
    assert window.column(4000, 1 / 2) < window.WIDEST / 2


def test_a_first_run_that_is_cut_off_is_made_up_for(monkeypatch, tmp_path):
    city = small_city(tmp_path / "here", {"name": "H", "timezone": "UTC"}, ["A", "B"], (0.0, 0.0), ["", ""])
    place = Place("here", "Here", city.path)
    monkeypatch.setattr(session.st, "session_state", {})
    view_of_link = session._view_of
    monkeypatch.setattr(session, "_view_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session.enter(place, city, views.VIEWS)
    monkeypatch.setattr(session, "_view_of", view_of_link)
    session.enter(place, city, views.VIEWS)
    assert session.view() is views.LOAD and session.station() is None


def test_capacity_is_drawn_and_told(open_app):
    app = open_app(station="ST-00", t=NOON)
    assert "Capacity" in text_of(app) and "4.00" in text_of(app)
    assert any(note["text"].startswith("capacity 4.00") for note in fan_of(app)["layout"]["annotations"])


def test_changed_data_are_read_again(open_app, cities_folder):
    app = open_app()
    file = cities_folder / "flatland" / "city.toml"
    text = file.read_text()
    try:
        file.write_text(text.replace("Flatland", "Renamed"))
        app.run()
        assert "<h1>Renamed</h1>" in text_of(app)
    finally:
        file.write_text(text)
    assert City.open(cities_folder / "flatland").meta.name == "Flatland"


@pytest.mark.parametrize(
    ("zone", "start", "day", "first", "count"),
    [
        ("Europe/Rome", "2025-10-20", "2025-10-26", "00:00", 50),
        ("Europe/Rome", "2025-03-25", "2025-03-30", "00:00", 46),
        ("Asia/Beirut", "2025-03-25", "2025-03-30", "01:00", 46),  # this day begins at one o'clock
    ],
)
def test_days_on_which_clocks_change(open_app, cities_folder, zone, start, day, first, count):
    folder = cities_folder / "clocks"
    small_city(folder, {"name": "Clocks", "timezone": zone}, ["A", "B"], (0.0, 0.0), ["", ""], start)
    try:
        app = open_app(city="clocks", station="A", t="2025-03-28T12:00" if "03" in day else "2025-10-22T12:00")
        keyed(app.date_input, "day_box").set_value(day).run()
        assert not app.exception and link_of(app, "t").startswith(f"{day}T12:00")
        times = keyed(app.select_slider, "clock_box").options
        assert len(set(times)) == count and times[0] == first and times[-1] == "23:30"
        app = open_app(city="clocks", station="A", t=f"{day}T00:30")
        assert not app.exception and not app.warning
    finally:
        shutil.rmtree(folder)
