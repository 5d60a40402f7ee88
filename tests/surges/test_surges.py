"""Surges: found where they are, not where there are none, as often by mistake as asked, and from nothing that came later."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lecdiff_core import api, cli
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.graph import Graph, distance_graph
from lecdiff_core.city.layout import METRICS_FILE, SURGE_SCORES_FILE, SURGES_FILE, UNFINISHED_SURGES_FILE
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import protocol_split
from lecdiff_core.errors import UserError
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.surges import are_current, circumstances, find_surges, read_surges
from lecdiff_core.surges.events import Detections, detect
from lecdiff_core.surges.evidence import KEPT_EVERY, compare, gather
from lecdiff_core.surges.false_alarms import FalseAlarms
from lecdiff_core.surges.runs import BOUND, runs_of
from lecdiff_core.surges.scores import surge_scores
from lecdiff_core.training import DATES
from tests.conftest import make_city

MODEL = "adaptive-climatology"
DAY = 24
QUIET, SEARCHED = slice(0, 6 * DAY), slice(6 * DAY, 18 * DAY)
SIDE = 7  # stations along a side of the grid
BEGIN, HOURS = 23 * DAY + 9, 8  # of the surge planted into the little city: step and length
HIT = ("S05", "S06")


def grid(side: int = SIDE) -> Graph:
    place = np.arange(side * side)
    return distance_graph(500.0 * np.stack([place % side, place // side], axis=1), neighbours=4)


def noise(seed: int, stations: int = SIDE * SIDE, steps: int = 18 * DAY, keep: float = 0.6) -> np.ndarray:
    """(N, T) AR(1) deviations of unit variance, as a forecast gives that knows all but chance."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((stations, steps))
    for step in range(1, steps):
        values[:, step] = keep * values[:, step - 1] + np.sqrt(1 - keep**2) * values[:, step]
    return values


def stations_of(found: Detections, event: int) -> set[int]:
    return set(found.runs.station[found.event == event].tolist())


# ---- the search


@pytest.mark.parametrize("sign", [1, -1])
def test_a_large_deviation_is_the_strongest_event(sign):
    deviation = noise(0)
    deviation[24, 200:208] += sign * 7
    found = detect(deviation, QUIET, SEARCHED, grid(), DAY)
    best = int(found.strength.argmax())
    lead = found.runs.take(np.flatnonzero((found.event == best) & (found.runs.station == 24)))
    assert lead.direction.tolist() == [sign]
    assert lead.start[0] <= 201 and 206 <= lead.stop[0] <= 212
    assert found.a_day[best] < 0.05


def test_traffic_that_follows_its_forecast_gives_as_many_events_as_asked():
    rates = np.array([0.5, 1.0, 2.0])
    counts = np.zeros(len(rates))
    for seed in range(24):
        found = detect(noise(seed), QUIET, SEARCHED, grid(), DAY)
        counts += [(found.a_day <= rate).sum() for rate in rates]
    a_day = counts / (24 * 12)
    assert np.all(a_day > 0.6 * rates) and np.all(a_day < 1.6 * rates)


def test_the_rate_falls_with_strength_beyond_what_was_seen():
    strengths = np.random.default_rng(3).exponential(2.0, 300)
    alarms = FalseAlarms.of(strengths, days=10.0)
    asked = np.linspace(0, 60, 200)
    a_day = alarms.a_day(asked)
    assert np.all(np.diff(a_day) <= 1e-12) and np.all(a_day > 0)
    at = np.log(300) * 2.0  # one of 300 is as high: one in ten days
    assert 0.03 < alarms.a_day(np.array([at]))[0] < 0.3


def test_only_neighbours_at_the_same_time_are_one_event():
    graph = grid()
    source, target = graph.edge_index.numpy()
    near = int(target[(source == 0) & (target != 0)][0])
    far = SIDE * SIDE - 1
    deviation = noise(1)
    for station, start in ((0, 200), (near, 203), (far, 200), (far, 260)):
        deviation[station, start : start + 8] += 8
    found = detect(deviation, QUIET, SEARCHED, graph, DAY)
    strong = np.flatnonzero(found.strength > 25)
    assert len(strong) == 3
    together = [event for event in strong if 0 in stations_of(found, event)]
    assert len(together) == 1 and near in stations_of(found, together[0]) and far not in stations_of(found, together[0])


def test_a_dead_station_and_those_that_took_over_are_one_event():
    graph = grid()
    source, target = graph.edge_index.numpy()
    near = target[(source == 24) & (target != 24)]
    deviation = noise(2)
    deviation[24, 220:230] -= 9
    deviation[near, 220:230] += 5
    found = detect(deviation, QUIET, SEARCHED, graph, DAY)
    best = int(found.strength.argmax())
    assert stations_of(found, best) >= {24, *near.tolist()}
    assert set(found.runs.direction[found.event == best].tolist()) == {1, -1}
    assert (found.strength > 25).sum() == 1


def test_what_the_whole_neighbourhood_does_is_nobodys_surge():
    shared = np.repeat(noise(5, stations=1, keep=0.95), SIDE * SIDE, axis=0)
    deviation = shared + 0.5 * noise(6)
    beside, alone = (surge_scores(deviation, QUIET, grid(), compared) for compared in (True, False))
    assert abs(np.corrcoef(beside.ravel(), shared.ravel())[0, 1]) < 0.25
    assert np.corrcoef(alone.ravel(), shared.ravel())[0, 1] > 0.7


def test_scores_are_standard_normal_in_quiet_times_whatever_the_scale():
    deviation = noise(7) * np.linspace(0.5, 2.0, SIDE * SIDE)[:, None] + 3
    scores = surge_scores(deviation, QUIET, grid())
    inside = np.abs(scores[:, QUIET]) <= BOUND
    assert 0.88 < inside.mean() < 0.92
    np.testing.assert_allclose(scores, surge_scores(10 * deviation - 4, QUIET, grid()), atol=1e-6)


def test_runs_bridge_a_pause_and_missing_values_but_no_more():
    scores = np.zeros((1, 60))
    scores[0, [10, 11, 13, 14, 20, 40]] = 3.0
    scores[0, 12] = np.nan
    scores[0, 30:33] = -3.0
    runs = runs_of(scores, slice(0, 60), pause=1)
    spans = sorted(zip(runs.start.tolist(), runs.stop.tolist(), runs.direction.tolist(), strict=True))
    assert spans == [(10, 15, 1), (20, 21, 1), (30, 33, -1), (40, 41, 1)]
    longest = runs.take(np.flatnonzero(runs.start == 10))
    assert longest.strength[0] == pytest.approx(4 * (3 - BOUND))
    assert len(runs_of(np.full((2, 60), np.nan), slice(0, 60), 1)) == 0


def test_stations_without_any_observation_do_no_harm():
    deviation = noise(8)
    deviation[[3, 40]] = np.nan
    found = detect(deviation, QUIET, SEARCHED, grid(), DAY)
    assert np.isfinite(found.a_day).all() and not {3, 40} & set(found.runs.station.tolist())


def test_too_little_to_tell_what_is_normal_is_said():
    with pytest.raises(UserError, match="too little traffic in the days that calibrated"):
        detect(np.full((4, 60), np.nan), slice(0, 30), slice(30, 60), grid(2), DAY)


# ---- observations against samples


def test_tail_probabilities_are_finer_than_the_samples():
    rng = np.random.default_rng(0)
    scale = rng.uniform(1, 50, (200, 24))
    samples = 100 * scale + scale * rng.standard_normal((100, 200, 24))
    for distance in (1.0, 2.5, 3.5):
        told = compare(100 * scale + distance * scale, samples)
        assert np.median(told["probability"]) == pytest.approx(norm.sf(distance), rel=0.6)
        assert np.median(told["deviation"]) == pytest.approx(distance, rel=0.08)
    below = compare(100 * scale - 3 * scale, samples)
    assert np.median(below["deviation"]) == pytest.approx(-3, rel=0.08)


def test_a_missing_observation_is_compared_with_nothing():
    samples = np.random.default_rng(1).gamma(4, 2, (50, 5, 6))
    observed = samples[0].copy()
    observed[2, 3] = np.nan
    told = compare(observed, samples)
    assert np.isnan(told["deviation"][2, 3]) and np.isnan(told["probability"][2, 3])
    assert np.isfinite(told["deviation"]).sum() == observed.size - 1
    dead = compare(np.zeros((5, 6)), np.zeros((50, 5, 6)))
    assert np.isfinite(dead["deviation"]).all()


# ---- a city from end to end


def plant(city: City, factor: float = 4.0) -> City:
    """The same city with a surge at two stations in the test part."""
    traffic = city.traffic.copy()
    traffic.loc[traffic.index[BEGIN : BEGIN + HOURS], list(HIT)] *= factor
    return write_city(city.path, city.meta, city.stations, traffic)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A little city with a planted surge, a model, and its surges."""
    city = plant(make_city(tmp_path_factory.mktemp("surges") / "little"))
    api.train(city, MODEL, device="cpu", protocol=True)
    api.surges(city, city.path.parent / "fresh.csv", MODEL, device="cpu")
    return city


def test_the_file_is_the_same_from_a_fresh_search_and_from_the_kept_one(searched, tmp_path):
    told = api.surges(searched, tmp_path / "kept.csv", MODEL, device="cpu")
    assert told["left_out"] == [] and told["notices"] == []
    kept = (tmp_path / "kept.csv").read_text()
    assert kept == (searched.path.parent / "fresh.csv").read_text()
    row = pd.read_csv(tmp_path / "kept.csv").iloc[0]
    for times in (row["start"], row["end"], row["peak_time"], *row["starts"].split(";"), *row["ends"].split(";")):
        assert re.fullmatch(r"2024-01-\d\d \d\d:00:00\+00:00", times)
    assert set(row["stations"].split(";")) <= set(searched.station_ids)


def test_stations_that_could_not_be_judged_are_named(searched):
    kept = read_surges(searched)
    blind = replace(kept, scores=kept.scores.assign(S03=np.nan))
    assert blind.unjudged == ["S03"]
    assert blind.notices[0].startswith("1 of 12 stations could not be judged") and blind.notices[0].endswith(": S03")


def test_the_planted_surge_leads_the_list(searched):
    events = read_surges(searched).at_most(1.0)
    event = events.iloc[0]
    assert event["station_id"] in HIT and event["direction"] == "above" and event["excess"] > 0
    index = searched.traffic.index
    assert event["start"] <= index[BEGIN + 1] and event["end"] >= index[BEGIN + HOURS - 2]
    assert index[BEGIN] <= event["peak_time"] < index[BEGIN + HOURS]
    assert event["observed"] == pytest.approx(
        float(searched.traffic.loc[event["peak_time"], event["station_id"]]), rel=1e-5
    )
    assert event["low"] < event["expected"] < event["high"] < event["observed"]
    assert event["probability"] < 0.01 and event["probability_day_ahead"] < 0.01
    assert event["stations"][0] == event["station_id"] and event["start"].tz is not None


def test_what_is_kept_reads_back_and_is_not_computed_again(searched, monkeypatch):
    before = read_surges(searched)
    assert are_current(searched, before.source)
    monkeypatch.setattr(Forecaster, "load", lambda *_: pytest.fail("computed again"))
    again = find_surges(searched, MODEL)
    pd.testing.assert_frame_equal(again.events, before.events)
    pd.testing.assert_frame_equal(again.scores, before.scores)
    assert before.events["start"].dt.tz is not None and before.scores.index.tz is not None
    split = protocol_split(len(searched.traffic))
    assert before.scores.shape == (len(split.test), len(searched.station_ids))
    assert {name for names in before.events["stations"] for name in names} <= set(searched.station_ids)


def test_other_traffic_makes_surges_out_of_date(searched, tmp_path):
    surges_of_it = read_surges(searched)
    other = make_city(tmp_path / "other", seed=3)
    assert are_current(other, surges_of_it.source) is False
    assert are_current(searched, {**surges_of_it.source, "weights": "0" * 64}) is False
    assert are_current(searched, {**surges_of_it.source, "model": "lstm"}) is False
    told = {name: value for name, value in surges_of_it.source.items() if name != "recipe"}
    assert are_current(searched, told) is None


def test_a_stopped_search_goes_on_where_it_was(searched, tmp_path, monkeypatch):
    city = plant(make_city(tmp_path / "again"))
    api.train(city, MODEL, device="cpu", protocol=True)
    asked: list[int] = []

    def stop(done: float, total: float, message: str) -> None:
        if done == KEPT_EVERY + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_surges(city, MODEL, device="cpu", report=stop)
    assert (city.path / UNFINISHED_SURGES_FILE).is_file() and read_surges(city) is None
    found = find_surges(city, MODEL, device="cpu", report=lambda done, total, message: asked.append(int(done)))
    assert asked[0] == KEPT_EVERY + 1
    assert not (city.path / UNFINISHED_SURGES_FILE).exists()
    pd.testing.assert_frame_equal(found.scores, read_surges(searched).scores, check_freq=False)


def test_nothing_that_comes_later_is_read(searched, tmp_path):
    begin = protocol_split(len(searched.traffic)).test.start
    cut = begin + 2 * DAY + 5
    later = searched.traffic.copy()
    later.iloc[cut:] = 5 * later.iloc[cut:].to_numpy()[::-1]
    changed = write_city(tmp_path / "later", searched.meta, searched.stations, later)
    forecaster = Forecaster.load(searched, MODEL, "cpu")
    blind = Forecaster(changed, Panel.of(changed), forecaster.model, forecaster.config, forecaster.device)
    first, second = gather(forecaster, begin), gather(blind, begin)
    for name in ("deviation", "probability", "day_ahead", "low", "middle", "high"):
        np.testing.assert_array_equal(getattr(first, name)[:, : cut - begin], getattr(second, name)[:, : cut - begin])
    assert not np.array_equal(first.deviation, second.deviation, equal_nan=True)


def test_since_moves_the_beginning(searched, tmp_path):
    folder = tmp_path / "copy"
    copy = write_city(folder, searched.meta, searched.stations, searched.traffic)
    api.train(copy, MODEL, device="cpu", protocol=True)
    start = copy.traffic.index[BEGIN - 3]
    found = find_surges(copy, MODEL, since=start, device="cpu")
    assert found.scores.index[0] == start and (found.events["end"] > start).all()


def test_plain_facts_of_an_event(searched):
    event = read_surges(searched).at_most(1.0).iloc[0]
    facts = circumstances(searched, event)
    assert not facts.holiday and facts.weekday == f"{event['start']:%A}" and facts.hour == event["start"].hour
    assert facts.neighbours == len(set(event["stations"])) - 1 and facts.usual_hour > 0
    meta = searched.meta.model_copy(update={"holidays": [facts.day]})
    holiday = City(searched.path, meta, searched.stations, searched.traffic, searched.digests)
    assert circumstances(holiday, event).holiday


# ---- mistakes, by name


def test_a_city_without_a_model_says_so(little_city):
    with pytest.raises(UserError, match="no trained model here; make it with `lecdiff train`"):
        find_surges(little_city, MODEL)


def test_a_time_that_the_model_was_trained_on_is_refused(searched):
    with pytest.raises(UserError, match=r"--since 2024-01-05.*after what the model learned from, from 2024-01-20"):
        find_surges(searched, MODEL, since=pd.Timestamp("2024-01-05", tz="UTC"))
    with pytest.raises(UserError, match="--since 2030"):
        find_surges(searched, MODEL, since=pd.Timestamp("2030-01-05", tz="UTC"))


def test_too_few_days_are_refused(tmp_path):
    city = make_city(tmp_path / "short", days=6)
    api.train(city, MODEL, device="cpu")
    metrics = city.model_folder(MODEL) / METRICS_FILE
    metrics.write_text("{}")  # of a training by the protocol, from before its dates were kept
    with pytest.raises(UserError, match=r"at least a day of traffic that calibrated the model.*only 6\.0 days"):
        find_surges(city, MODEL)
    metrics.write_text(json.dumps(dict.fromkeys(DATES, "2031-01-01T00:00:00+00:00")))
    with pytest.raises(UserError, match=r"calibrated from 2031-01-01.*the city has no such days"):
        find_surges(city, MODEL)
    metrics.write_text(json.dumps(dict.fromkeys(DATES, "soon")))
    with pytest.raises(UserError, match="dates of the model's training cannot be read"):
        find_surges(city, MODEL)


def test_intervals_that_no_forecast_of_the_hours_before_reaches_are_refused(tmp_path):
    values = np.random.default_rng(0).gamma(9, 10, (30, 3)).astype(np.float32)
    index = pd.date_range("2024-01-01", periods=30, freq="24h", tz="UTC", name="timestamp")
    little = make_city(tmp_path / "daily", stations=3, days=1)
    meta = little.meta.model_copy(update={"interval": "24h"})
    daily = write_city(little.path, meta, little.stations, pd.DataFrame(values, index, list(little.station_ids)))
    with pytest.raises(UserError, match=r"intervals of at most 8h; this city's are of 24h"):
        find_surges(daily, MODEL)


def test_a_model_in_use_is_searched_from_where_its_learning_ends(tmp_path):
    """The days that calibrate it are searched: a surge among them is found, and normal traffic gives as many as asked."""
    city = plant(make_city(tmp_path / "used"))
    metrics = api.train(city, MODEL, device="cpu")
    found = find_surges(city, MODEL, device="cpu")
    assert found.scores.index[0] == pd.Timestamp(metrics["surges_from"]) == pd.Timestamp(metrics["fit_to"])
    event = found.at_most(1.0).iloc[0]
    assert event["station_id"] in HIT and event["start"] <= city.traffic.index[BEGIN + 1]
    with pytest.raises(UserError, match="after what the model learned from"):
        find_surges(city, MODEL, since=pd.Timestamp(metrics["fit_to"]) - city.interval)


def test_days_that_are_quiet_and_searched_report_no_more_than_asked():
    rates, days = np.array([0.5, 1.0, 2.0]), 4
    both = slice(0, days * DAY)
    counts = np.zeros(len(rates))
    for seed in range(24):
        found = detect(noise(seed, steps=days * DAY), both, both, grid(), DAY)
        counts += [(found.a_day <= rate).sum() for rate in rates]
    a_day = counts / (24 * days)
    assert np.all(a_day > 0.6 * rates) and np.all(a_day < 1.3 * rates)


def test_a_fresh_search_and_the_kept_one_are_one_result(tmp_path):
    city = plant(make_city(tmp_path / "twice", timezone="Asia/Shanghai"))
    api.train(city, MODEL, device="cpu")
    files = [tmp_path / name for name in ("fresh.csv", "kept.csv", "fresh.parquet", "kept.parquet")]
    api.surges(city, files[0], MODEL, device="cpu")
    api.surges(city, files[1], MODEL, device="cpu")
    (city.path / SURGES_FILE).unlink()
    api.surges(city, files[2], MODEL, device="cpu")
    api.surges(city, files[3], MODEL, device="cpu")
    assert files[0].read_bytes() == files[1].read_bytes() and files[2].read_bytes() == files[3].read_bytes()
    event = pd.read_csv(files[0]).iloc[0]
    assert event["start"].endswith("+08:00") and event["starts"].split(";")[0].endswith("+08:00")


@pytest.mark.parametrize("name", [SURGES_FILE, SURGE_SCORES_FILE])
def test_a_damaged_file_is_named(searched, tmp_path, name):
    city = write_city(tmp_path / "damaged", searched.meta, searched.stations, searched.traffic)
    for file in (SURGES_FILE, SURGE_SCORES_FILE):
        (city.path / file).write_bytes((searched.path / file).read_bytes())
    (city.path / name).write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"surges\.parquet: damaged.*`lecdiff surges`"):
        read_surges(city)


def test_a_table_of_something_else_is_no_surges(searched, tmp_path):
    city = write_city(tmp_path / "else", searched.meta, searched.stations, searched.traffic)
    pd.DataFrame({"x": [1]}).to_parquet(city.path / SURGES_FILE)
    (city.path / SURGE_SCORES_FILE).write_bytes((searched.path / SURGE_SCORES_FILE).read_bytes())
    with pytest.raises(UserError, match="not a table of surges"):
        read_surges(city)


# ---- the command


def lecdiff(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lecdiff", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_command_writes_the_events(searched, tmp_path, monkeypatch, capsys, suffix):
    out = tmp_path / f"surges.{suffix}"
    assert lecdiff(monkeypatch, "surges", searched.path, "--model", MODEL, "--out", out) == 0
    table = pd.read_parquet(out) if suffix == "parquet" else pd.read_csv(out)
    assert len(table) and table["station_id"].iloc[0] in HIT
    assert f"{len(table)} events" in capsys.readouterr().out


def test_the_citys_own_file_is_no_place_for_an_extract(searched, monkeypatch):
    own: Path = searched.path / SURGES_FILE
    before = own.read_bytes()
    assert (
        lecdiff(monkeypatch, "surges", searched.path, "--model", MODEL, "--out", own, "--false-alarms-per-day", "0.1")
        == 0
    )
    assert own.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "x.txt"), "the name must end in .parquet or .csv"),
        (("--out", "x.csv", "--false-alarms-per-day", "0"), "--false-alarms-per-day must be above 0"),
        (("--out", "x.csv", "--since", "tomorrow-ish"), "--since tomorrow-ish: this is no time in UTC"),
        (("--out", "x.csv", "--model", "../x"), "leads out of the folder models"),
    ],
)
def test_mistakes_end_with_one_line(searched, monkeypatch, capsys, words, told):
    model = () if "--model" in words else ("--model", MODEL)
    assert lecdiff(monkeypatch, "surges", searched.path, *model, *words) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1
