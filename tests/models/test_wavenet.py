"""WaveNet: sampling with kept activations is the very network it was trained as, and its mixture is a distribution."""

import pytest
import torch

from lecdiff_core.models.protocol import RowNoise
from lecdiff_core.models.wavenet import COMPONENTS, Mixture, WaveNet
from tests.models.test_all_models import ORIGINS, STATIONS, fitted, panel, windows


def test_each_sampled_step_is_drawn_from_what_the_whole_network_says_after_the_steps_before() -> None:
    model = fitted("wavenet")
    assert isinstance(model, WaveNet)
    batch = windows(model, panel()).batch(ORIGINS)
    seeds = range(2 * STATIONS)
    path = model.sample(batch, 1, RowNoise(seeds))[:, 0].flatten(0, 1)
    draws = RowNoise(seeds).uniform(1, 2 * model.horizon)[0]
    with torch.no_grad():
        scale, values, known = model._sequence(batch)
        root = (path / scale).sqrt()
        fed_back = torch.stack([root, torch.zeros_like(root)], dim=2)[:, :-1]
        local = model.local(known[:, 1:])
        _, skips = model._through(model.enter(torch.cat([values, fed_back], dim=1)), local)
        mixture = model._end(skips, local[:, -model.horizon :])
        again = mixture.draw(draws[:, ::2], draws[:, 1::2]).clamp_min(0.0)
    torch.testing.assert_close(again, root, rtol=1e-3, atol=1e-3)


def mixture() -> Mixture:
    torch.manual_seed(0)
    return Mixture(torch.randn(COMPONENTS), torch.randn(COMPONENTS), torch.randn(COMPONENTS) - 2)


def test_the_density_integrates_to_one() -> None:
    grid = torch.linspace(-8, 8, 20001)
    total = torch.trapezoid(mixture().log_prob(grid).exp(), grid)
    assert total.item() == pytest.approx(1.0, abs=1e-3)


def test_draws_follow_the_density() -> None:
    uniform = torch.rand(2, 20000, generator=torch.Generator().manual_seed(1))
    parts = Mixture(*(part.expand(20000, -1) for part in mixture()))
    drawn = parts.draw(uniform[0], uniform[1])
    grid = torch.linspace(-8, 8, 20001)
    cumulated = torch.cumulative_trapezoid(mixture().log_prob(grid).exp(), grid)
    for level in (0.1, 0.5, 0.9):
        expected = grid[int((cumulated < level).sum())].item()
        assert abs((drawn < expected).float().mean().item() - level) < 0.015
