"""What LSTM, STGCN and STID share: their start, their loss, their optional identity."""

import numpy as np
import pytest
import torch

from lecdiff_core.city.windows import Batch
from lecdiff_core.models.catalogue import build
from lecdiff_core.models.inputs import LARGEST
from lecdiff_core.models.point_network import PointNetwork
from lecdiff_core.models.stid import Stid
from tests.models.test_all_models import ORIGINS, panel, windows

plain = pytest.mark.parametrize("name", ["lstm", "stgcn", "stid"])


def untrained(name: str) -> tuple[PointNetwork, Batch]:
    model = build(name, panel(), seed=0).eval()
    assert isinstance(model, PointNetwork)
    return model, windows(model, panel()).batch(ORIGINS)


@plain
def test_the_plain_form_starts_from_the_last_days_mean_of_each_station(name: str) -> None:
    model, batch = untrained(name)
    mean = batch.past[:, :, -24:].nanmean(dim=2, keepdim=True)
    torch.testing.assert_close(model.point(batch), mean.expand(-1, -1, model.horizon), rtol=1e-3, atol=1e-3)


@plain
def test_with_the_prior_it_starts_from_the_seasonal_mean(name: str) -> None:
    model, batch = untrained(f"{name}+prior")
    scale = model.inputs(batch).scale
    season = model.season(batch.past / scale, batch)
    mixed = torch.einsum("bnk,bnkh->bnh", torch.softmax(model.gate + season.record, 2), season.future)
    torch.testing.assert_close(model.point(batch), mixed * scale, rtol=1e-2, atol=1e-2)


@plain
def test_the_loss_is_the_absolute_error_over_all_traffic_that_was_observed(name: str) -> None:
    model, batch = untrained(name)
    assert batch.future is not None
    batch.future[:, 2, 3:7] = torch.nan
    error = (model.point(batch) - batch.future).abs()
    expected = error.nansum() / batch.future.nansum()
    torch.testing.assert_close(model.loss(batch), expected)


def test_inputs_hold_the_slots_of_the_steps_ahead_on_past_days() -> None:
    model, batch = untrained("lstm")
    inputs = model.inputs(batch)
    origin = int(ORIGINS[1])
    for column, days in ((0, 1), (6, 7)):
        same_slots = panel().values[:, origin - 24 * days : origin - 24 * (days - 1)]
        known = np.isfinite(same_slots)
        lags = (inputs.lags[1, :, :, column] * inputs.scale[1]).numpy()
        np.testing.assert_allclose(lags[known], same_slots[known], rtol=1e-5)
    assert all(torch.isfinite(part).all() for part in (inputs.recent, inputs.lags, inputs.ahead))


def test_a_station_with_an_empty_last_day_is_scaled_by_its_whole_history() -> None:
    model, batch = untrained("lstm")
    batch.past[:, 1, -24:] = torch.nan
    batch.past[:, 2, -24:] = 0.0
    scale = model.inputs(batch).scale
    torch.testing.assert_close(scale[:, 1, 0], batch.past[:, 1].nanmean(dim=1))
    torch.testing.assert_close(scale[:, 2, 0], batch.past[:, 2].nanmean(dim=1) / LARGEST)


def test_stid_knows_stations_by_their_row_and_training_hides_some() -> None:
    model, batch = untrained("stid")
    assert isinstance(model, Stid)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.out.weight)
    named = model.point(batch)
    batch.station.zero_()
    assert not torch.allclose(named, model.point(batch))
    model.train()
    model.loss(batch).backward()
    assert model.station.weight.grad is not None
    assert model.station.weight.grad[0].any()
