"""TMAF: sampling block by block is the very network it was trained as."""

import torch

from lecdiff_core.models.protocol import RowNoise
from lecdiff_core.models.tmaf import Tmaf
from tests.models.test_all_models import ORIGINS, STATIONS, fitted, panel, windows


def test_each_sampled_block_comes_from_what_the_whole_transformer_says_after_the_blocks_before() -> None:
    model = fitted("tmaf")
    assert isinstance(model, Tmaf)
    batch = windows(model, panel()).batch(ORIGINS)
    seeds = range(2 * STATIONS)
    path = model.sample(batch, 1, RowNoise(seeds))[:, 0].flatten(0, 1)
    draws = RowNoise(seeds).normal(1, model.horizon)[0].unflatten(1, (-1, model.block)).clamp(-4, 4)
    with torch.no_grad():
        scale, _, values, known = model._blocks(batch)
        root = (path / scale).sqrt()
        ahead = model._paired(root, torch.zeros_like(root))
        x = model._tokens(torch.cat([values, ahead[:, :-1]], dim=1), known[:, 1:], first=1)
        for layer in model.layers:
            x, _ = layer(x)
        state = model.norm(x[:, -ahead.shape[1] :])
        again = model.flow(state).transform.inv(draws).clamp_min(0.0)
    torch.testing.assert_close(again.flatten(1), root, rtol=1e-3, atol=1e-3)


def test_a_block_with_a_gap_does_not_count() -> None:
    model = fitted("tmaf")
    assert isinstance(model, Tmaf)
    batch = windows(model, panel()).batch(ORIGINS)
    assert batch.future is not None
    batch.future[:, :, -1] = torch.nan
    loss = model.loss(batch)
    batch.future[:, :, -2] *= 3  # of the same block, the last: nothing comes after it
    torch.testing.assert_close(model.loss(batch), loss)
    batch.future.fill_(torch.nan)
    assert model.loss(batch) == 0
