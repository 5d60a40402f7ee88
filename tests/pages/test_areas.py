"""Several stations forecast as one: an area around a station, and the whole network."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from test_views import MODEL, NOON, ORIGIN, flat, whole  # noqa: F401 (fixtures)
from visitor import keyed, link_of, text_of

from pages.parts.charts import exports
from pages.parts.data import areas, forecasts, traffic_levels
from pages.parts.map import station_map


def test_areas_begin_with_the_station_and_grow(flat):  # noqa: F811
    around = areas.around(flat, "ST-04")
    assert around[""].stations == ("ST-04",)
    assert len(around["5"].stations) == 5 and around["5"].stations[0] == "ST-04"
    assert "20" not in around, "the city has twelve stations"
    metres = dict(zip(flat.station_ids, traffic_levels.metres_from(flat, "ST-04"), strict=True))
    nearest = sorted(flat.station_ids, key=metres.__getitem__)[:5]
    assert {metres[one] for one in around["5"].stations} == {metres[one] for one in nearest}
    for key, area in around.items():
        if key.endswith("m"):
            assert {one for one in flat.station_ids if metres[one] <= int(key[:-1])} == set(area.stations)


def test_the_samples_of_an_area_are_the_sums_of_those_of_its_stations(flat):  # noqa: F811
    stations = areas.around(flat, "ST-04")["5"].stations
    alone = [forecasts.fan(flat, MODEL, one, ORIGIN) for one in stations]
    area = forecasts.fan_of(flat, MODEL, stations, ORIGIN)
    np.testing.assert_allclose(area.samples, sum(fan.samples for fan in alone), rtol=1e-3)
    low, middle, high = area.peak
    assert low <= middle <= high and middle >= area.median.max() * 0.999
    assert area.total[1] == pytest.approx(np.median(area.samples.sum(1)), rel=0.02)
    assert area.exceeding(-1) == 1 and area.exceeding(np.inf) == 0
    assert area.peak_time in area.timestamps


def test_the_whole_network_is_the_sum_of_all(flat, whole):  # noqa: F811
    everything = forecasts.fan_of(flat, MODEL, whole.together.stations, ORIGIN)
    np.testing.assert_allclose(whole.together.samples, everything.samples, rtol=1e-3)
    assert len(whole.together.stations) == len(flat.station_ids)


def test_what_is_carried_together_is_known_where_nearly_all_report(flat):  # noqa: F811
    table = flat.traffic[list(flat.station_ids)]
    carried = traffic_levels.carried(flat, flat.station_ids)
    some = table.notna().mean(axis=1) >= traffic_levels.LEAST_REPORTING
    assert carried.notna().equals(some)
    pd.testing.assert_series_equal(carried[some], table.sum(axis=1)[some])


def test_an_area_in_a_link_is_shown_and_kept_in_it(open_app):
    app = open_app(city="flatland", station="ST-04", t=NOON, area="5")
    assert not app.exception
    assert keyed(app.selectbox, "area_box").value == "5"
    assert "Expected peak" in text_of(app) and link_of(app, "area") == "5"
    keyed(app.selectbox, "area_box").select("").run()
    assert not app.exception and link_of(app, "area") is None


def test_an_area_that_there_is_not_is_the_station_alone(open_app):
    app = open_app(city="flatland", station="ST-04", t=NOON, area="<b>7</b>")
    assert not app.exception and "Expected peak" in text_of(app)


def test_the_outline_lies_around_every_station_of_the_area(flat):  # noqa: F811
    from shapely.geometry import Point, shape

    stations = areas.around(flat, "ST-04")["5"].stations
    drawn = shape(station_map.outline(flat, stations).data["features"][0]["geometry"])
    for one in stations:
        place = flat.stations.geometry.iloc[flat.station_ids.index(one)]
        assert drawn.contains(Point(place.x, place.y))


def test_the_file_of_an_area_holds_its_sum_and_what_was_observed(flat):  # noqa: F811
    area = areas.around(flat, "ST-04")["5"]
    fan = forecasts.fan_of(flat, MODEL, area.stations, ORIGIN, area.name)
    rows = list(csv.DictReader(io.StringIO(exports.csv(flat, {area.name: fan}).decode())))
    assert {row["station_id"] for row in rows} == {area.name} and len(rows) == len(fan.timestamps)
    observed = traffic_levels.carried(flat, area.stations).reindex(fan.timestamps).to_numpy()
    told = [float(row["observed"] or "nan") for row in rows]
    np.testing.assert_allclose(told, observed, rtol=1e-5)


def test_the_chart_shows_as_much_of_the_past_as_is_asked_for_and_single_futures(open_app):
    app = open_app(city="flatland", station="ST-04", t=NOON)
    before = json.loads(app.get("plotly_chart")[0].proto.spec)
    control = next(group for group in app.get("button_group") if "7 days" in str(group.proto))
    control.set_value("7 days").run()
    app.toggle(key="chart_paths").set_value(True).run()
    after = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert not app.exception
    start = [pd.Timestamp(spec["layout"]["xaxis"]["range"][0]) for spec in (before, after)]
    assert start[0] - start[1] == pd.Timedelta("5D")
    assert sum(line.get("name") == "sampled futures" for line in after["data"]) == 12
