"""What is measured in a chip: synthetic grounds of known content, at both scales that the project meets."""

import numpy as np
import pytest
from PIL import Image

from lecdiff_core.environment.refinement.evidence import REGIONS, SURFACES, measure
from lecdiff_core.errors import UserError

GRASS, WATER, SOIL, ROOF, WHITE, GREY = (
    (70, 120, 50),
    (40, 75, 110),
    (140, 122, 95),
    (170, 95, 70),
    (240, 240, 235),
    (120, 120, 122),
)


def ground(colour: tuple[int, int, int], size: int = 256, spread: float = 4, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, spread, (size, size, 1))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def town(size: int = 256) -> np.ndarray:
    """Reddish and white roofs on grey ground, 30 m apart at 2.5 m a pixel."""
    pixels = ground(GREY, size)
    for number, (row, column) in enumerate((r, c) for r in range(2, size - 8, 12) for c in range(2, size - 8, 12)):
        pixels[row : row + 8, column : column + 8] = WHITE if number % 3 == 0 else ROOF
    return pixels


def chip(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels)


def test_surfaces_share_the_chip_between_them() -> None:
    evidence = measure(chip(town()), 2.5)
    assert sum(evidence.share(surface) for surface in SURFACES) == pytest.approx(1)
    assert np.sum([evidence.surfaces[surface] for surface in SURFACES], axis=0).max() == 1


@pytest.mark.parametrize(
    ("colour", "surface"), [(GRASS, "vegetation"), (WATER, "water"), (SOIL, "soil"), (WHITE, "bright"), (GREY, "paved")]
)
def test_an_even_ground_is_its_surface(colour: tuple[int, int, int], surface: str) -> None:
    assert measure(chip(ground(colour)), 2.5).share(surface) > 0.95


@pytest.mark.parametrize("colour", [(86, 102, 94), (68, 87, 81), (91, 101, 88), (40, 75, 110)])
def test_a_river_of_any_cool_tone_is_water_and_asphalt_and_meadow_are_not(colour: tuple[int, int, int]) -> None:
    pixels = ground(GRASS)
    pixels[:, 100:140] = ground(colour)[:, 100:140]
    pixels[:60] = ground(GREY)[:60]
    evidence = measure(chip(pixels), 2.5)
    assert 0.08 < evidence.share("water") < 0.16
    assert evidence.share("water", "north edge") < 0.05


def test_a_small_pond_in_a_lawn_is_water_and_an_even_roof_of_its_colour_is_not() -> None:
    pond, roof = ground(GRASS), ground(GREY)
    pond[100:116, 100:120] = ground((86, 102, 94))[100:116, 100:120]
    roof[100:116, 100:120] = ground((86, 102, 94))[100:116, 100:120]
    assert measure(chip(pond), 2.5).share("water") > 0.002
    assert measure(chip(roof), 2.5).share("water") == 0


def test_gardens_belong_to_the_settlement() -> None:
    pixels = ground(GRASS)
    for row, column in ((r, c) for r in range(0, 256, 14) for c in range(0, 128, 14)):
        pixels[row : row + 6, column : column + 6] = ROOF
    evidence = measure(chip(pixels), 2.5)
    assert evidence.share("inhabited", "west") > 0.8
    assert evidence.share("inhabited", "east") < 0.2
    assert evidence.share("countryside", "east") > 0.8


def test_the_side_is_told() -> None:
    pixels = ground(GRASS)
    pixels[:, 128:] = ground(WATER)[:, 128:]
    pixels[128:, :128] = town()[128:, :128]
    evidence = measure(chip(pixels), 2.5)
    assert evidence.share("water", "east") > 0.9
    assert evidence.share("water", "west") < 0.1
    assert evidence.share("built", "south-west") > 0.7
    assert evidence.share("built", "north-west") < 0.3


def test_scale_does_not_change_what_is_seen() -> None:
    pixels = ground(GRASS)
    pixels[:128] = town()[:128]
    fine = measure(chip(pixels), 2.5)
    coarse = measure(chip(pixels).resize((64, 64), Image.Resampling.BOX), 10)
    for surface in (*SURFACES, "open", "built"):
        assert fine.share(surface) == pytest.approx(coarse.share(surface), abs=0.03)


def test_texture_and_grain_follow_the_size_of_things() -> None:
    blocks, fields = measure(chip(town()), 2.5), measure(chip(ground(GRASS)), 2.5)
    assert blocks.texture.mean() > 3 * fields.texture.mean()
    assert blocks.edge_density > 0.2 > 0.01 > fields.edge_density
    halves = ground(GRASS)
    halves[:, 128:] = WHITE
    assert measure(chip(halves), 2.5).grain > measure(chip(town()), 2.5).grain


def test_a_road_through_fields_is_the_strongest_line() -> None:
    pixels = ground(GRASS)
    pixels[120:134] = GREY
    line = measure(chip(pixels), 2.5).lines[0]
    assert line.bearing == pytest.approx(90, abs=8)
    assert line.paved > 0.8
    assert 0.4 < line.row < 0.6


def test_a_pitch_is_found_among_roofs_and_not_in_a_meadow() -> None:
    pixels = town()
    pixels[100:140, 100:128] = ground(GRASS)[100:140, 100:128]
    assert measure(chip(pixels), 2.5).has_pitch
    assert not measure(chip(ground(GRASS)), 2.5).has_pitch
    assert not measure(chip(town()), 2.5).has_pitch


def test_every_region_has_cells_even_in_the_smallest_chip() -> None:
    evidence = measure(chip(ground(GRASS, 16)), 10)
    assert all(evidence.window(evidence.luminance, region).size for region in REGIONS)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_any_image_mode_is_taken(mode: str) -> None:
    image = chip(ground(GREY))
    image = Image.fromarray(np.full((256, 256), 9000, np.uint16)) if mode == "I;16" else image.convert(mode)
    assert 0 <= measure(image, 2.5).brightness <= 1


@pytest.mark.parametrize("metres", [0, -1, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(metres: float) -> None:
    with pytest.raises(UserError, match="metres per pixel"):
        measure(chip(ground(GRASS)), metres)


def test_too_little_ground_is_refused() -> None:
    with pytest.raises(UserError, match="too little ground"):
        measure(chip(ground(GRASS)), 0.1)


def test_a_huge_chip_is_brought_to_a_bounded_grid() -> None:
    evidence = measure(Image.new("RGB", (3000, 1500), GRASS), 30)
    assert max(evidence.luminance.shape) <= 512
    assert evidence.share("vegetation") == 1
