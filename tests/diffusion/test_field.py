"""The noise field: what was put in is found again, noise has the covariance it is meant to have, and a cut changes nothing."""

import numpy as np
import pytest
import torch

from lecdiff_core.diffusion.field import LEVELS, MEMORY_HOURS, NoiseField
from lecdiff_core.models.protocol import RowNoise

STEPS, HOURS, STATIONS = 24, 1.0, 30
CELLS = np.stack([np.arange(STATIONS) // 10, np.arange(STATIONS) // 6, np.arange(STATIONS) // 3], axis=1)
NAMES = [f"S{index}" for index in range(STATIONS)]


def shares() -> np.ndarray:
    """A third of the whole network's with half a day of memory, a sixth of the finest cells', the rest a station's own."""
    table = np.zeros((LEVELS, len(MEMORY_HOURS)))
    table[0, 4], table[3, 2], table[-1, 3], table[-1, 0] = 0.3, 0.15, 0.35, 0.2
    return table


def field() -> NoiseField:
    made = NoiseField(STEPS, HOURS)
    made.set_shares(shares())
    return made


def noise(origin: int, names: list[str] = NAMES, cells: np.ndarray | None = CELLS) -> RowNoise:
    return RowNoise.at([f"{origin}"] * len(names), names, cells, seed=0)


def paths(made: NoiseField, origins: int = 40, samples: int = 50) -> torch.Tensor:
    """(origins · S, N, H) with the field's covariance."""
    drawn = [made.colour(made.draw(noise(origin), samples)(slice(None))) for origin in range(origins)]
    return torch.cat(drawn)


def test_noise_has_the_covariance_it_is_meant_to_have() -> None:
    drawn = paths(field()).double()
    memory = np.exp(-np.arange(STEPS) / np.array(MEMORY_HOURS)[[4, 2, 3]][:, None])
    for pair, expected in {
        (0, 0): 0.3 * memory[0] + 0.15 * memory[1] + 0.35 * memory[2] + 0.2 * (np.arange(STEPS) == 0),
        (0, 1): 0.3 * memory[0] + 0.15 * memory[1],
        (0, 4): 0.3 * memory[0],
        (0, 29): 0.3 * memory[0],
    }.items():
        found = (drawn[:, pair[0], :1] * drawn[:, pair[1]]).mean(0).numpy()
        np.testing.assert_allclose(found, expected, atol=0.08)


def test_whitened_noise_of_a_station_is_white_and_colouring_is_the_inverse_of_whitening() -> None:
    made = field()
    drawn = torch.cat([made.draw(noise(origin), 100)(slice(0, 1)) for origin in range(40)])[:, 0].double()
    np.testing.assert_allclose(torch.cov(drawn.T).numpy(), np.eye(STEPS), atol=0.1)
    some = torch.randn(3, 2, STEPS)
    torch.testing.assert_close(made.colour(made.whiten(some)), some, rtol=1e-4, atol=1e-5)


def test_shares_are_found_again_from_paths() -> None:
    found = NoiseField(STEPS, HOURS)
    found.fit((part, torch.as_tensor(CELLS)) for part in paths(field()).split(500))
    by_level = found.shares.sum(1).numpy()
    np.testing.assert_allclose(by_level, shares().sum(1), atol=0.05)


def test_missing_steps_do_not_change_what_is_found() -> None:
    drawn = paths(field())
    drawn[torch.rand(drawn.shape, generator=torch.Generator().manual_seed(0)) < 0.3] = torch.nan
    found = NoiseField(STEPS, HOURS)
    found.fit([(drawn, torch.as_tensor(CELLS))])
    np.testing.assert_allclose(found.shares.sum(1).numpy(), shares().sum(1), atol=0.06)


@pytest.mark.parametrize("cells", [CELLS, None], ids=["places", "no places"])
def test_a_part_of_the_network_draws_what_the_whole_draws(cells: np.ndarray | None) -> None:
    made, some = field(), [3, 4, 17]
    whole = made.draw(noise(5, cells=cells), 4)(slice(None))
    for rows in (slice(None), slice(1, 3)):
        alone = noise(5, [NAMES[i] for i in some], None if cells is None else cells[some])
        torch.testing.assert_close(made.draw(alone, 4)(rows), whole[:, some[rows]], rtol=0, atol=1e-5)


def test_without_places_a_station_shares_with_the_whole_network_alone() -> None:
    made = field()
    drawn = torch.cat([made.colour(made.draw(noise(o, cells=None), 50)(slice(None))) for o in range(40)]).double()
    covariance = (drawn[:, :, None] * drawn[:, None]).mean((0, 3))
    np.testing.assert_allclose(covariance[0, :4], [1.0, 0.3, 0.3, 0.3], atol=0.08)


def test_saved_shares_come_back_with_all_that_follows_from_them() -> None:
    made, other = field(), NoiseField(STEPS, HOURS)
    other.load_state_dict(made.state_dict())
    torch.testing.assert_close(other.mixes, made.mixes)
    torch.testing.assert_close(other.root, made.root)


def test_nothing_to_go_by_leaves_white_noise() -> None:
    made = NoiseField(STEPS, HOURS)
    made.fit([(torch.full((1, 3, STEPS), torch.nan), None)])
    assert float(made.shares[-1, 0]) == 1.0
