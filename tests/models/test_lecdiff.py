"""What LEC-Diff chooses on validation, and how it is trained for stations that are new."""

import numpy as np
import pandas as pd
import torch

from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.windows import Batch, Windows
from lecdiff_core.models.conditional import LecDiffConfig
from lecdiff_core.models.lecdiff import LecDiff

PER_DAY = 24


def small_model(**form: object) -> LecDiff:
    torch.manual_seed(0)
    sizes = {"history_days": 7, "error_days": 3, "hidden": 8, "denoiser_width": 16, "denoising_steps": 4}
    return LecDiff(LecDiffConfig(PER_DAY, **(sizes | form))).eval()


def batch_of(model: LecDiff, noise: float, stations: int = 3) -> Batch:
    rng = np.random.default_rng(0)
    rhythm = 10 + 5 * np.sin(np.arange(14 * PER_DAY) * 2 * np.pi / PER_DAY)
    values = (rhythm * (1 + noise * rng.normal(size=(stations, len(rhythm))))).astype(np.float32)
    clock = pd.date_range("2024-01-01", periods=values.shape[1], freq="1h")
    positions = 500.0 * np.arange(2 * stations).reshape(-1, 2)
    panel = Panel(values, clock, "UTC", PER_DAY, tuple(map(str, range(stations))), positions)
    graph = distance_graph(positions)
    windows = Windows(panel, graph, model.context, PER_DAY)
    return windows.batch(np.arange(9 * PER_DAY, 12 * PER_DAY, 6))


def test_calibration_narrows_what_is_too_wide_and_widens_what_is_too_narrow() -> None:
    model = small_model()
    for log_spread, narrower in ((0.0, True), (-4.0, False)):
        model.moments.log_spread.data.fill_(log_spread)
        model.moments.from_error.data.zero_()
        model.calibrate([batch_of(model, noise=0.1)])
        assert (float(model.temperature) < 1) is narrower


def test_calibration_distrusts_a_correction_that_is_wrong() -> None:
    model = small_model()
    model.moments.out.bias.data[0] = 1.0
    model.calibrate([batch_of(model, noise=0.02)])
    assert float(model.trust) == 0


def test_without_history_to_go_by_the_correction_is_trusted_whole() -> None:
    model = small_model()
    model.trust.fill_(0.25)
    past = torch.full((1, 3, model.context), torch.nan)
    past[:, 1, -PER_DAY:] = 1.0
    past[:, 2] = 1.0
    trust = model._trust(past)[0, :, 0]
    assert trust[0] == 1 and trust[2] == 0.25 and 0.8 < trust[1] < 1


def test_short_histories_in_training_keep_the_last_day_and_leave_other_stations_alone() -> None:
    batch = batch_of(small_model(), noise=0.1, stations=40)
    model = small_model(short_history=0.5)
    shown = model._with_short_histories(batch).past
    hidden = shown.isnan() & batch.past.isfinite()
    shortened = hidden.any(2)
    assert 0.3 < shortened.float().mean() < 0.7
    assert not hidden[..., -PER_DAY:].any()
    torch.testing.assert_close(shown[~shortened], batch.past[~shortened], equal_nan=True)
    assert small_model(short_history=0.0)._with_short_histories(batch) is batch
