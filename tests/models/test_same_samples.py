"""A station gets the same samples alone, with its neighbourhood, in a part of the network and in the whole of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.windows import Windows
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.models.checkpoint import FORMAT_VERSION, CheckpointConfig
from lecdiff_core.models.protocol import ForecastModel
from tests.conftest import make_city
from tests.models.test_all_models import BUILDERS

STATIONS, DAYS, DAY = 60, 16, 24
TOLERANCE = 1e-5  # of the spread of a station's samples at a step


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Stations in a row, so that the network is many edges long.

    The first is quiet beside the others and still at night; many are young and so borrow; the last days were out of the ordinary.
    """
    folder = tmp_path_factory.mktemp("row")
    like = make_city(folder / "like", STATIONS, DAYS)
    traffic = like.traffic.mul(1 + 50 * np.arange(STATIONS, dtype=np.float32), axis=1)
    traffic.loc[traffic.index.hour < 5, "S00"] = 0.0
    traffic.loc[traffic.index[: -3 * DAY], traffic.columns[2::2]] = np.nan
    traffic.iloc[-2 * DAY :] *= np.random.default_rng(1).lognormal(0, 1, STATIONS).astype(np.float32)
    return write_city(folder / "row", like.meta, like.stations, traffic)


def forecaster(name: str, city: City) -> Forecaster:
    """A model with weights of its own, as if it had been trained on the city."""
    rng = np.random.default_rng(0)
    row = np.stack([np.arange(STATIONS) * 500.0, rng.uniform(0, 50, STATIONS)], axis=1)
    panel = replace(Panel.of(city, rng.standard_normal((STATIONS, 5)).astype(np.float32)), positions=row)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: ForecastModel = BUILDERS[name](panel)
        for parameter in model.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.data.normal_(std=0.05)  # what starts at zero would hide what it depends on
    half = panel.steps // 2
    model.fit_statistics(torch.tensor(panel.values[:, :half]), panel.calendar.slot[:half])
    graph, station = distance_graph(panel.positions), np.arange(1, STATIONS + 1)
    windows = Windows(panel, graph, model.context, model.horizon, station)
    model.eval().calibrate([windows.batch(np.array([panel.steps - DAY]))])
    config = CheckpointConfig(
        format_version=FORMAT_VERSION, model=name, recipe=model.recipe, settings=model.settings(), interval="1h", unit="MB",
        station_ids=list(city.station_ids), encoder=None, data_hash="", seed=0, weights_sha256="",
    )  # fmt: skip
    return Forecaster(city, panel, model, config, torch.device("cpu"))


LONGER = [
    (name, 2 * DAY + 1) for name in ("lec-diff", "adaptive-climatology", "stgcn")
]  # each day hangs on the day before around it


@pytest.mark.parametrize(("name", "steps"), [*((name, DAY) for name in BUILDERS), *LONGER])
def test_a_station_gets_the_same_samples_in_whatever_company(name: str, steps: int, city: City) -> None:
    asked = forecaster(name, city)
    whole = asked.forecast(steps=steps, samples=8)
    for company in (["S00"], ["S00", "S01", "S02"], list(city.station_ids[::3])):
        part = asked.forecast(steps=steps, samples=8, stations=company)
        for station in ("S00", company[-1]):
            expected, found = whole.station(station).samples, part.station(station).samples
            spread = expected.std(0) + 1e-6 * expected.mean()
            assert (np.abs(found - expected) <= TOLERANCE * spread).all(), f"{station} beside {company}"
