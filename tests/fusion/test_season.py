"""The seasonal mean."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import torch

from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.windows import Batch, Windows
from lecdiff_core.fusion.season import USUAL_ERROR, LevelWindow, SeasonalMean, SeasonConfig
from lecdiff_core.models.yardsticks import AdaptiveClimatology, Climatology, SeasonalNaive

PER_DAY = 24


def batch_of(values: np.ndarray, context: int, origin: int, holidays: tuple[date, ...] = ()) -> Batch:
    clock = pd.date_range("2024-01-01", periods=values.shape[1], freq="1h")  # a Monday
    positions = np.arange(2 * len(values), dtype=float).reshape(-1, 2)
    names = tuple(map(str, range(len(values))))
    panel = Panel(values.astype(np.float32), clock, "UTC", PER_DAY, names, positions, holidays)
    graph = distance_graph(positions)
    return Windows(panel, graph, context, PER_DAY).batch(np.array([origin]))


def by_hand(values: np.ndarray, origin: int, kinds: np.ndarray) -> np.ndarray:
    """NOTES' formula for one station, written as plainly as it reads."""

    def mean(step: int, latest: int) -> float:
        days = [age for age in range(1, 57) if 0 <= step - age * PER_DAY < latest]
        weights = [np.exp(-age / 7) * (1 if kinds[step - age * PER_DAY] == kinds[step] else 0.05) for age in days]
        return float(np.dot(weights, [values[step - age * PER_DAY] for age in days]) / np.sum(weights))

    recent = range(origin - 6, origin)
    ratio = sum(values[step] for step in recent) / sum(mean(step, origin) for step in recent)
    return np.array(
        [mean(origin + ahead, origin) * ratio ** (0.8 * np.exp(-(ahead + 1) / 24)) for ahead in range(PER_DAY)]
    )


def test_adaptive_climatology_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(50, 100, (1, 40 * PER_DAY))
    origin = 30 * PER_DAY + 5
    holiday = date(2024, 1, 10)
    model = AdaptiveClimatology(PER_DAY)
    point = model.point(batch_of(values, model.context, origin, (holiday,)))[0, 0].numpy()
    days = pd.date_range("2024-01-01", periods=40 * PER_DAY, freq="1h")
    kinds = np.where(days.day_of_week == 5, 1, np.where((days.day_of_week == 6) | (days.date == holiday), 2, 0))
    np.testing.assert_allclose(point, by_hand(values[0], origin, kinds), rtol=0.01)


def test_a_kernel_gives_back_what_repeats_every_day() -> None:
    rhythm = np.random.default_rng(1).uniform(1, 2, PER_DAY)
    season = SeasonalMean(SeasonConfig(PER_DAY, days=5, recalled_days=2, memory_days=(3.0, 10.0)))
    batch = batch_of(np.tile(rhythm, 9)[None], season.context, 8 * PER_DAY)
    found = season(batch.past, batch)
    for kernel in range(2):
        np.testing.assert_allclose(found.future[0, 0, kernel].detach(), rhythm, rtol=1e-3)
        np.testing.assert_allclose(found.past[0, 0, kernel].detach(), np.tile(rhythm, 2), rtol=1e-3)
    np.testing.assert_allclose(found.level.detach(), 0, atol=1e-3)


def test_past_means_look_only_at_days_before() -> None:
    """The mean given for yesterday does not change when yesterday does."""
    rng = np.random.default_rng(2)
    values = rng.uniform(1, 2, (1, 9 * PER_DAY))
    season = SeasonalMean(SeasonConfig(PER_DAY, days=5, recalled_days=1, memory_days=(3.0,)))
    batch = batch_of(values, season.context, 8 * PER_DAY)
    changed = values.copy()
    changed[0, 7 * PER_DAY : 8 * PER_DAY] *= 3
    other = batch_of(changed, season.context, 8 * PER_DAY)
    torch.testing.assert_close(season(batch.past, batch).past, season(other.past, other).past, rtol=1e-3, atol=1e-3)


def test_missing_days_leave_the_mean_of_the_others() -> None:
    values = np.full((1, 9 * PER_DAY), 4.0)
    values[0, 3 * PER_DAY : 5 * PER_DAY] = np.nan
    season = SeasonalMean(SeasonConfig(PER_DAY, days=5, recalled_days=1, memory_days=(3.0,)))
    batch = batch_of(values, season.context, 8 * PER_DAY)
    np.testing.assert_allclose(season(batch.past, batch).future.detach(), 4.0, rtol=1e-3)


def test_seasonal_naive_is_yesterday_and_reaches_back_over_gaps() -> None:
    values = np.arange(20 * PER_DAY, dtype=float)[None]
    values[0, 15 * PER_DAY + 3] = np.nan
    model = SeasonalNaive(PER_DAY)
    point = model.point(batch_of(values, model.context, 16 * PER_DAY))[0, 0].numpy()
    expected = np.arange(15 * PER_DAY, 16 * PER_DAY, dtype=float)
    expected[3] -= PER_DAY
    np.testing.assert_array_equal(point, expected)


def test_climatology_is_the_training_mean_of_the_slot() -> None:
    rng = np.random.default_rng(3)
    values = rng.uniform(1, 2, (2, 20 * PER_DAY)).astype(np.float32)
    model = Climatology(PER_DAY, stations=2)
    model.fit_statistics(torch.as_tensor(values[:, : 10 * PER_DAY]), torch.arange(10 * PER_DAY) % PER_DAY)
    batch = batch_of(values, model.context, 15 * PER_DAY + 7)
    batch.station[:] = torch.tensor([1, 2])
    expected = np.roll(values[:, : 10 * PER_DAY].reshape(2, 10, PER_DAY).mean(1), -7, axis=1)
    np.testing.assert_allclose(model.point(batch)[0].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("hours", [0, 5])
def test_the_level_follows_the_last_hours_and_fades(hours: int) -> None:
    values = np.full((1, 12 * PER_DAY), 2.0)
    origin = 10 * PER_DAY + hours
    values[0, origin - 6 : origin] = 4.0
    model = AdaptiveClimatology(PER_DAY)
    point = model.point(batch_of(values, model.context, origin))[0, 0]
    assert 2.0 < float(point[-1]) < float(point[0]) < 4.0


def seasonal_mean(**form: object) -> SeasonalMean:
    return SeasonalMean(SeasonConfig(PER_DAY, days=9, recalled_days=1, memory_days=(7.0,), **form))


def test_smoothing_averages_neighbouring_slots_of_past_days_and_keeps_a_level_day() -> None:
    values = np.full((2, 12 * PER_DAY), 3.0)
    values[1, 5::PER_DAY] = 9.0
    origin = 11 * PER_DAY
    plain, smooth = seasonal_mean(), seasonal_mean(smoothing_hours=1.0)
    batch = batch_of(values, plain.context, origin)
    sharp, blunt = (form(batch.past, batch).future[0, :, 0].detach() for form in (plain, smooth))
    torch.testing.assert_close(sharp[0], blunt[0], rtol=1e-3, atol=0)
    assert float(sharp[1, 5]) > float(blunt[1, 5]) > float(blunt[1, 4]) > float(sharp[1, 4])


def test_a_level_of_the_last_day_is_not_counted_twice() -> None:
    windows = (LevelWindow(24.0, 1.0, 1e6), LevelWindow(6.0, 1.0, 1e6))
    season = seasonal_mean(level_windows=windows)
    values = np.full((2, 12 * PER_DAY), 2.0)
    origin = 11 * PER_DAY
    values[0, origin - PER_DAY : origin] = 1.0
    values[1, origin - PER_DAY : origin] = 1.95
    batch = batch_of(values, season.context, origin)
    level = season(batch.past, batch).level[0].detach()
    torch.testing.assert_close(level.sum(1), torch.log(torch.tensor([0.5, 0.975])), rtol=0.05, atol=0.002)
    assert level[0, 0] < -0.5
    assert float(level[:, 1].abs().max()) < 0.001


def test_nothing_expected_leaves_the_level_alone() -> None:
    """A station that was first seen a day ago has no season to be off."""
    season = seasonal_mean()
    values = np.full((1, 12 * PER_DAY), np.nan)
    values[0, 10 * PER_DAY :] = 5.0
    batch = batch_of(values, season.context, 11 * PER_DAY)
    found = season(batch.past, batch)
    assert float(found.level.abs().max()) == 0
    np.testing.assert_allclose(found.future[0, 0, 0].detach(), 5.0, rtol=1e-3)


def test_usual_errors_tell_noisy_stations_and_noisy_slots() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 1, (3, 12 * PER_DAY))
    noise[1] *= 4
    noise[2, np.arange(12 * PER_DAY) % PER_DAY > 3] = 0
    values = 20 + noise
    season = seasonal_mean(error_days=7)
    scaled = batch_of(values / values.mean(), season.context, 11 * PER_DAY)
    slot, station = season(scaled.past, scaled).error[0].unbind(-1)
    assert (station[1] > station[0] + 0.5).all()
    assert (station == station[:, :1]).all()
    assert slot[2, 1] > slot[2, 12] + 0.5
    nothing = seasonal_mean()(scaled.past, scaled).error
    np.testing.assert_allclose(nothing.exp(), USUAL_ERROR, rtol=1e-5)


def tracked(hops: int = 0, **form: object) -> SeasonalMean:
    return SeasonalMean(
        SeasonConfig(PER_DAY, days=9, recalled_days=1, memory_days=(7.0, 0.5), track_record=True, hops=hops, **form)
    ).requires_grad_(False)


def changed_rhythm(stations: int) -> np.ndarray:
    """Eleven days; all but the last station change their rhythm for the last three."""
    rng = np.random.default_rng(5)
    before, after = rng.uniform(1, 2, (2, PER_DAY))
    values = np.tile(before, (stations, 11)).reshape(stations, 11, PER_DAY)
    values[: stations - 1, 8:] = after
    return values.reshape(stations, -1)


def test_a_kernel_that_was_right_yesterday_counts_for_more() -> None:
    season = tracked()
    batch = batch_of(changed_rhythm(2), season.context, 11 * PER_DAY)
    found = season(batch.past, batch)
    long, short = found.record[0].unbind(1)
    assert short[0] == 0 and long[0] < -10, "the short memory had seen the new rhythm, the long one had not"
    assert abs(float(long[1] - short[1])) < 1, "where nothing changed, both were right"


def test_the_record_of_the_stations_around_speaks_for_one_that_was_silent_yesterday() -> None:
    values = changed_rhythm(4)
    values[1, -PER_DAY:] = np.nan
    alone, together = tracked(), tracked(hops=1)
    batch = batch_of(values, alone.context, 11 * PER_DAY)
    assert (alone(batch.past, batch).record[0, 1] == 0).all()
    assert together(batch.past, batch).record[0, 1, 0] < -10


def test_an_unusual_yesterday_is_a_surprise_and_an_unknown_one_is_none() -> None:
    rng = np.random.default_rng(6)
    values = 20 + rng.normal(0, 1, (3, 11 * PER_DAY))
    values[1, -PER_DAY:] += rng.normal(0, 8, PER_DAY)
    values[2, -PER_DAY:] = np.nan
    season = tracked(error_days=7)
    batch = batch_of(values / 20, season.context, 11 * PER_DAY)
    surprise = season(batch.past, batch).surprise[0]
    assert surprise[1] > surprise[0] + 0.5 and surprise[2] == 0


def test_nothing_of_yesterday_or_before_is_no_record() -> None:
    values = np.full((2, 11 * PER_DAY), np.nan)
    values[0, -5:] = 3.0
    season = tracked(hops=2)
    batch = batch_of(values, season.context, 11 * PER_DAY)
    found = season(batch.past, batch)
    assert (found.record == 0).all() and (found.surprise == 0).all()
    assert all(part.isfinite().all() for part in found)


def test_the_level_moves_towards_that_of_the_stations_around() -> None:
    values = np.full((3, 11 * PER_DAY), 2.0)
    values[1:, -PER_DAY:] = 3.0
    alone, together = tracked(), tracked(hops=1)
    batch = batch_of(values, alone.context, 11 * PER_DAY)
    assert (together(batch.past, batch).future[0, 0] > alone(batch.past, batch).future[0, 0]).all()
    assert (together(batch.past, batch).future[0, 2] < alone(batch.past, batch).future[0, 2]).all()


def weekdays_and_weekends(stations: int, days: int) -> np.ndarray:
    """Stations alike but for their size; a rhythm for weekdays, another for weekends. Day 0 is a Monday."""
    rng = np.random.default_rng(7)
    weekday, weekend = rng.uniform(1, 2, (2, PER_DAY))
    city = np.concatenate([weekend if day % 7 > 4 else weekday for day in range(days)])
    return np.arange(1, stations + 1)[:, None] * city


def test_a_young_station_borrows_the_weekend_it_has_not_seen_from_those_around() -> None:
    values = weekdays_and_weekends(4, 13)
    truth = values[0, 12 * PER_DAY :].copy()
    values[0, : 11 * PER_DAY] = np.nan  # only Friday is known of it, Saturday is asked
    origin = 12 * PER_DAY
    values[0, origin - PER_DAY : origin] = weekdays_and_weekends(1, 5)[0, -PER_DAY:]

    def error(hops: int) -> float:
        season = tracked(hops)
        batch = batch_of(values, season.context, origin)
        scale = batch.past.nanmean(2, keepdim=True)
        future = season(batch.past / scale, batch).future * scale[..., None]
        return float((future[0, 0, 0] - torch.as_tensor(truth)).abs().mean())

    assert error(hops=1) < 0.6 * error(hops=0)


def test_a_well_known_station_hardly_borrows() -> None:
    values = weekdays_and_weekends(3, 11)
    values[1:] = values[1:, ::-1]  # its neighbours have another rhythm
    alone, together = tracked(), tracked(hops=1)
    batch = batch_of(values, alone.context, 11 * PER_DAY)
    scaled = batch.past / batch.past.nanmean(2, keepdim=True)
    apart, shared = (form(scaled, batch).future[0, 0, 0] for form in (alone, together))
    assert 0 < float((apart - shared).abs().mean()) < 0.03


def test_neighbours_with_like_surroundings_have_more_to_say() -> None:
    values = weekdays_and_weekends(3, 11)
    values[2] = values[2, ::-1]
    values[0, : 10 * PER_DAY] = np.nan
    season = tracked(hops=1, environment=True)
    batch = batch_of(values, season.context, 11 * PER_DAY)

    def share_of_second(environment: list[list[float]]) -> float:
        alike = replace(batch, environment=torch.tensor(environment))
        return float(season._around(alike).to_dense()[0, 1])

    like_second = share_of_second([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    like_third = share_of_second([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])
    assert like_second > 0.8 and like_third < 0.2


def test_a_surge_is_left_out_of_the_means_of_later_days_and_a_lasting_change_is_not() -> None:
    rng = np.random.default_rng(8)
    values = 20 + rng.normal(0, 1, (2, 12 * PER_DAY))
    origin = 11 * PER_DAY
    values[0, origin - 2 * PER_DAY + 8 : origin - 2 * PER_DAY + 12] = 80
    values[1, 5 * PER_DAY : origin] += 20
    scale = 20.0
    batch = batch_of(values / scale, seasonal_mean().context, origin)
    kept, forgotten = (
        seasonal_mean(error_days=7, forget_anomalies=forget)(batch.past, batch).future[0, :, 0].detach() * scale
        for forget in (False, True)
    )
    assert kept[0, 8:12].min() > 25
    np.testing.assert_allclose(forgotten[0], 20, atol=2)
    assert forgotten[1].mean() > 35
