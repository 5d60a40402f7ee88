"""Sites end to end on the demo city and on small ones: what is known of a place, samples, and bad input by name."""

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lecdiff_core.city.folder import City
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.environment.embedding.embed import embed_city
from lecdiff_core.errors import UserError
from lecdiff_core.sites import forecast as module
from lecdiff_core.sites.candidates import Candidate, one_candidate, read_candidates
from lecdiff_core.sites.forecast import SiteForecaster
from lecdiff_core.sites.report import site_lines
from lecdiff_core.sites.surroundings import readable
from tests.conftest import make_city

HERE = {"lon": 0.004, "lat": -0.003}


@pytest.fixture(scope="module")
def demo() -> SiteForecaster:
    return SiteForecaster(DEMO_CITY)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> SiteForecaster:
    """A city without imagery."""
    return SiteForecaster(make_city(tmp_path_factory.mktemp("plain") / "city", stations=30))


def without_places(folder: Path) -> City:
    times = pd.date_range("2024-03-01", periods=24 * 6, freq="1h", tz="UTC")
    rng = np.random.default_rng(0)
    rhythm = 50 + 40 * np.sin(np.arange(len(times)) * 2 * np.pi / 24)
    traffic = pd.DataFrame({f"S{i}": rhythm * rng.uniform(0.5, 2) for i in range(12)}, index=times)
    return City.from_frames(traffic, folder=folder)


def test_chip_and_words_words_and_neither(demo: SiteForecaster) -> None:
    found = demo.forecast([Candidate("chip", **HERE), Candidate("both", **HERE, text="A stadium beside a car park.")])
    basis = {report.name: report.basis for report in found.sites}
    assert basis == {"chip": "image", "both": "image and text"}
    assert found.day.samples.shape == (100, 2, 48)
    assert found.week.samples.shape == (100, 2, 7 * 48)
    assert found.week.timestamps[0].weekday() == 0
    assert np.isfinite(found.day.samples).all() and (found.day.samples >= 0).all()
    assert [report.level["q50"] for report in found.sites] == sorted(
        (report.level["q50"] for report in found.sites), reverse=True
    )
    assert found.day.station_ids == tuple(report.name for report in found.sites)
    for report in found.sites:
        assert len(report.lookalikes) == 8
        assert all(-1 <= cosine <= 1 for _, cosine in report.lookalikes)
        assert 0 < report.taken < sum(neighbour.before for neighbour in report.neighbours)
        assert all(neighbour.after <= neighbour.before for neighbour in report.neighbours)
    assert "surroundings (image and text)" in " ".join(site_lines(found, "MB", "30min"))


def test_a_station_asked_about_as_a_site_is_mostly_inside_its_interval(demo: SiteForecaster) -> None:
    """Beside a station, half a usual distance away, its own level lies inside 90 % for most."""
    city = demo.city
    points = city.stations.geometry
    chosen = range(0, 150, 10)
    found = demo.forecast([Candidate(city.station_ids[i], points.x.iloc[i] + 0.001, points.y.iloc[i]) for i in chosen])
    level = city.traffic.iloc[-28 * 48 :].mean()
    inside = [report.level["q05"] <= level[report.name] <= report.level["q95"] for report in found.sites]
    assert np.mean(inside) >= 0.75


def test_samples_of_a_site_are_the_same_in_any_company(demo: SiteForecaster) -> None:
    alone = demo.forecast([Candidate("A", **HERE)])
    together = demo.forecast([Candidate("B", 0.01, 0.01), Candidate("A", **HERE)])
    column = together.day.station_ids.index("A")
    np.testing.assert_allclose(together.day.samples[:, column], alone.day.samples[:, 0], rtol=1e-5)


def test_in_blocks_and_from_the_stations_nearest_alone(plain: SiteForecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    sites = [Candidate(name, 0.011 + 0.003 * row, 0.02) for row, name in enumerate("ABCDE")]
    at_once = SiteForecaster(plain.city).forecast(sites)
    monkeypatch.setattr(module, "BLOCK", 2)
    np.testing.assert_allclose(SiteForecaster(plain.city).forecast(sites).day.samples, at_once.day.samples, rtol=1e-5)
    monkeypatch.setattr(module, "MOST_KNOWN", 15)
    near = SiteForecaster(plain.city).forecast(sites)
    alone = SiteForecaster(plain.city).forecast(sites[2:3])
    column = near.day.station_ids.index("C")
    np.testing.assert_allclose(near.day.samples[:, column], alone.day.samples[:, 0], rtol=1e-5)


def test_only_what_lies_before_the_origin_is_used(tmp_path: Path) -> None:
    city = make_city(tmp_path / "city", stations=30)
    origin = city.traffic.index[24 * 15]
    before = SiteForecaster(city).forecast([Candidate("A", 0.02, 0.02)], origin)
    traffic = city.traffic.copy()
    traffic.loc[origin:] = 1e6
    city.traffic = traffic
    after = SiteForecaster(city).forecast([Candidate("A", 0.02, 0.02)], origin)
    np.testing.assert_array_equal(before.day.samples, after.day.samples)
    np.testing.assert_array_equal(before.week.samples, after.week.samples)


def test_totals_and_steps_hold_where_the_truth_is_known(tmp_path: Path) -> None:
    """Stations whose levels are drawn alike, a few left out: 90 % of their days' totals and steps lie inside 90 %."""
    rng = np.random.default_rng(5)
    hours, stations = 24 * 20, 80
    rhythm = 1.2 + np.cos((np.arange(hours) - 15) * 2 * np.pi / 24)
    day_noise = np.repeat(np.exp(0.2 * rng.normal(size=(20, stations))), 24, axis=0)
    traffic = 100 * rhythm[:, None] * np.exp(0.6 * rng.normal(size=stations)) * day_noise
    times = pd.date_range("2024-03-04", periods=hours, freq="1h", tz="UTC")
    frame = pd.DataFrame(traffic, index=times, columns=[f"S{i:02d}" for i in range(stations)])
    forecaster = SiteForecaster(City.from_frames(frame.iloc[:, :60], folder=tmp_path / "known"))
    origin = times[24 * 19]
    asked = [Candidate(name, text="unknown") for name in frame.columns[60:]]
    found = forecaster.forecast(asked, origin, samples=400)
    observed = frame.loc[origin:, list(found.day.station_ids)].to_numpy().T
    low, high = found.day.interval(0.9)
    assert 0.75 <= ((low <= observed) & (observed <= high)).mean() <= 1
    totals = np.quantile(found.day.samples.sum(2), [0.05, 0.95], axis=0)
    assert 0.75 <= ((totals[0] <= observed.sum(1)) & (observed.sum(1) <= totals[1])).mean() <= 1


def test_without_imagery_the_stations_around_are_asked_and_the_answer_says_so(plain: SiteForecaster) -> None:
    found = plain.forecast([Candidate("A", 0.015, 0.015, text="Dense housing.")])
    assert found.sites[0].basis == "nothing"
    assert "cannot be compared" in found.sites[0].notices[0]
    assert "stations around alone" in site_lines(found, "MB", "1h")[0]


def test_without_places_the_mean_of_the_network_is_left(tmp_path: Path) -> None:
    forecaster = SiteForecaster(without_places(tmp_path / "city"))
    found = forecaster.forecast([Candidate("A", text="Dense housing.")])
    assert np.isnan(found.sites[0].taken)
    assert found.sites[0].neighbours == ()
    level = forecaster.city.traffic.mean()
    assert level.min() <= found.sites[0].level["q50"] <= level.max()


@pytest.mark.parametrize(
    ("site", "told"),
    [
        (Candidate("A", 3.0, 2.0), "km from the nearest station"),
        (Candidate("A", 0.0, 95.0), "no place on Earth"),
        (Candidate("A", 0.0, 95.0), "longitude comes first"),
        (Candidate("A", float("nan"), 0.0), "no place on Earth"),
        (Candidate("A", text="A park."), "where is it"),
        (Candidate("A", **HERE, text="  "), "empty"),
        (Candidate("A", **HERE, chip=Path("nowhere.jpg")), "nowhere.jpg cannot be read"),
    ],
)
def test_bad_sites_are_refused_by_name(demo: SiteForecaster, site: Candidate, told: str) -> None:
    with pytest.raises(UserError, match=told):
        demo.forecast([site])


def test_on_top_of_a_station_is_refused_and_names_it(demo: SiteForecaster) -> None:
    point = demo.city.stations.geometry.iloc[3]
    with pytest.raises(UserError, match=demo.city.station_ids[3]):
        demo.forecast([Candidate("A", point.x, point.y)])


def test_in_a_table_bad_places_are_left_out_by_name(demo: SiteForecaster) -> None:
    found = demo.forecast([Candidate("A", **HERE), Candidate("sea", 3.0, 2.0)])
    assert found.day.station_ids == ("A",)
    assert "nearest station" in found.left_out["sea"]


def test_chips_of_another_scale(demo: SiteForecaster, tmp_path: Path) -> None:
    file = tmp_path / "chip.png"
    Image.effect_noise((300, 300), 60).convert("RGB").save(file)
    site = Candidate("A", **HERE, chip=file)
    assert demo.forecast([site], chip_metres=1280).sites[0].basis == "image"
    with pytest.raises(UserError, match="at least as much ground"):
        demo.forecast([site], chip_metres=100)


def test_no_imagery_there_falls_back_on_the_stations_around(demo: SiteForecaster) -> None:
    east = max(point.x for point in demo.city.stations.geometry)
    found = demo.forecast([Candidate("A", east + 0.02, 0.0)])
    assert found.sites[0].basis == "nothing"
    assert any("imagery does not reach" in notice for notice in found.sites[0].notices)


def test_words_that_are_no_description_are_left_out_and_told() -> None:
    german = "Dichte Wohnhäuser und eine breite Straße mit vielen Geschäften liegen hier im Norden der Stadt."
    text, notices = readable(f"A stadium stands in the south.\n{german}\n<script>alert(1)</script>")
    assert text == "A stadium stands in the south."
    assert [notice.split(":")[0] for notice in notices] == ["not read (not in English)", "not read (markup)"]


def test_long_words_are_bounded() -> None:
    text, notices = readable("Houses stand near the road number one. " * 130)
    assert len(text) < 100  # repetitions count once
    assert len(notices) == 1 and notices[0].endswith("and 128 more")
    _, notices = readable("x" * 30_000)
    assert any("characters were read" in notice for notice in notices)


def test_too_few_stations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 5"):
        SiteForecaster(make_city(tmp_path / "city", stations=3)).forecast([Candidate("A", 0.005, 0.004)])


def test_an_origin_outside_the_data_is_refused(plain: SiteForecaster) -> None:
    with pytest.raises(UserError, match="no day can start"):
        plain.forecast([Candidate("A", 0.015, 0.015)], "2030-01-01")


def test_candidates_of_a_table(plain: SiteForecaster, tmp_path: Path) -> None:
    file = tmp_path / "sites.csv"
    file.write_text("name,lon,lat,text\nA,0.01,0.02,A park.\nB,0.03,0.04,\n")
    assert read_candidates(file, plain.city) == [
        Candidate("A", 0.01, 0.02, None, "A park."),
        Candidate("B", 0.03, 0.04),
    ]
    file.write_text("name,lon,lat\nA,0.01,north\n")
    with pytest.raises(UserError, match=r"row 1.*lat"):
        read_candidates(file, plain.city)
    file.write_text("name,lon,lat\nA,0.01,0.02\nA,0.01,0.03\n")
    with pytest.raises(UserError, match="A is there twice"):
        read_candidates(file, plain.city)
    file.write_text("name,text\nA,A park.\n")
    with pytest.raises(UserError, match="no column lon"):
        read_candidates(file, plain.city)
    with pytest.raises(UserError, match="no such file"):
        read_candidates(tmp_path / "nothing.csv", plain.city)


def test_sites_told_by_the_columns_of_the_table_of_surroundings(tmp_path: Path) -> None:
    """Without places: shops say how much a station carries, and so how much a site does."""
    rng = np.random.default_rng(0)
    shops = np.arange(30)
    times = pd.date_range("2024-03-01", periods=24 * 6, freq="1h", tz="UTC")
    rhythm = 50 + 40 * np.sin(np.arange(len(times)) * 2 * np.pi / 24)
    noise = np.exp(0.05 * rng.normal(size=30))
    traffic = pd.DataFrame({f"S{i:02d}": rhythm * (1 + shops[i]) * noise[i] for i in range(30)}, index=times)
    city = City.from_frames(traffic, folder=tmp_path / "city")
    table = pd.DataFrame({"station_id": traffic.columns, "shops": shops, "parks": rng.integers(0, 5, 30)})
    table.to_csv(tmp_path / "poi.csv", index=False)
    embed_city(city, table=tmp_path / "poi.csv")
    sites = tmp_path / "sites.csv"
    sites.write_text("name,shops,parks\nfew,2,1\nmany,25,1\n")
    found = SiteForecaster(city).forecast(read_candidates(sites, city))
    level = {report.name: report.level["q50"] for report in found.sites}
    assert found.sites[0].basis == "table" and len(found.sites[0].lookalikes) == 8
    np.testing.assert_allclose(level["few"], 50 * 3, rtol=0.3)
    np.testing.assert_allclose(level["many"], 50 * 26, rtol=0.3)
    sites.write_text("name,shops\nfew,2\n")
    with pytest.raises(UserError, match="it lacks parks"):
        read_candidates(sites, city)


def test_one_candidate_needs_a_place_where_the_city_has_places(plain: SiteForecaster, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="both --lon and --lat"):
        one_candidate(plain.city, 1.0, None, None, None)
    with pytest.raises(UserError, match="where is the site"):
        one_candidate(plain.city, None, None, None, "A park.")
    with pytest.raises(UserError, match="needs --chip, --text"):
        one_candidate(without_places(tmp_path / "city"), None, None, None, None)


def test_stations_are_not_moved_by_being_asked_about(plain: SiteForecaster) -> None:
    """Positions of sites and stations are of one projection."""
    points = plain.city.stations.geometry
    assert isinstance(plain.city.stations, geopandas.GeoDataFrame)
    here = plain._position(Candidate("A", points.x.iloc[5], points.y.iloc[5]))
    np.testing.assert_allclose(here, plain.panel.positions[5], atol=1e-6)
