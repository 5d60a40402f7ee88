import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.surroundings.aerial_captions import HASH_SIDE, NEAR, Captioned, near, perceptual_hashes
from benchmarks.surroundings.degraded_views import POSITIONS, view
from benchmarks.surroundings.encoders import FOLDS, SIDE, colour_numbers, difference, predict, quantile_tiles
from benchmarks.surroundings.real_imagery_training import (
    SHOWN,
    Source,
    load_backbone,
    main,
    scene_name,
    sentence,
    standardise,
    train,
    viewed,
)
from benchmarks.surroundings.retrieval import mean_recall, retrieval
from benchmarks.surroundings.training_views import make_views, open_views
from lecdiff_core.environment.embedding.contrastive import Recipe
from lecdiff_core.environment.embedding.encoder import Encoder
from tests.environment.embedding.test_tower import tower_encoder
from tests.environment.little_encoder import COLOURS, TEXTS, coloured, one_thread  # noqa: F401


def picture(seed: int, side: int = 96) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


# ---- retrieval


def test_perfect_rows_are_all_found_and_shuffled_ones_are_not():
    rows = np.eye(30, dtype=np.float32)
    own = np.repeat(np.arange(30), 2)
    assert mean_recall(retrieval(rows, rows[own], own)) == 100
    assert mean_recall(retrieval(np.roll(rows, 1, 0), rows[own], own)) < 50


def test_any_caption_of_an_image_is_right_and_each_caption_is_asked():
    images = np.eye(3)
    texts = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 1, 0], [0, 0, 1]])
    recalls = retrieval(images, texts, np.array([0, 0, 1, 2]))
    assert recalls["image_to_text"]["recall@1"] == pytest.approx(
        200 / 3
    )  # another's caption ties with the second image's own
    assert recalls["text_to_image"]["recall@1"] == pytest.approx(75)


def test_of_those_that_tie_half_stand_before():
    same = np.ones((20, 4)) / 2
    assert mean_recall(retrieval(same, same, np.arange(20))) == 0  # rank 10.5
    assert retrieval(same[:18], same[:18], np.arange(18))["image_to_text"]["recall@10"] == 100  # rank 9.5


# ---- near-duplicates and views


def test_a_file_of_lower_quality_is_a_near_duplicate_and_another_picture_is_not():
    pictures = [picture(seed) for seed in range(6)]
    softer = [one.resize((40, 40)).resize((96, 96)) for one in pictures]
    assert perceptual_hashes(pictures).shape == (6, HASH_SIDE**2) and NEAR % 2 == 0
    assert np.array_equal(near(perceptual_hashes(pictures), perceptual_hashes(softer)), np.eye(6, dtype=bool))


def test_views_are_repeatable_pictures_of_the_size_asked_for():
    chip = picture(1)
    for position in range(POSITIONS):
        one, again = (view(chip, position, 64, np.random.default_rng((0, position))) for _ in range(2))
        assert one.shape == (64, 64, 3) and one.dtype == np.uint8 and np.array_equal(one, again)
        assert one.std() > 1


@pytest.mark.parametrize("position", range(POSITIONS))
def test_a_view_stands_as_its_position_says(position, monkeypatch):
    monkeypatch.setattr("benchmarks.surroundings.degraded_views.SMALLEST_PART", 1.0)
    monkeypatch.setattr("benchmarks.surroundings.degraded_views.DEGRADED", 0.0)
    pixels = np.full((64, 64, 3), 60, np.uint8)
    pixels[:20, :20] = 220  # bright in the north-west
    seen = view(Image.fromarray(pixels), position, 64, np.random.default_rng(0)).mean(2)
    bright = np.full((64, 64), 60.0)
    bright[:20, :20] = 220
    wanted = np.rot90(bright[:, ::-1] if position // 4 else bright, -(position % 4))
    assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.95


def test_captions_and_scenes_are_written_as_one_would():
    assert sentence("many planes are parked . ") == "many planes are parked."
    assert scene_name("DenseResidential") == "dense residential" and scene_name("BareLand") == "bare land"


# ---- Milan


def test_tiles_hold_like_numbers_of_places_and_folds_are_whole_tiles():
    places = np.random.default_rng(0).uniform(size=(400, 2))
    tiles = quantile_tiles(places)
    assert set(tiles) == set(range(SIDE * SIDE)) and np.bincount(tiles // SIDE).tolist() == [100] * SIDE
    level = places @ [1.0, -2.0]
    predicted = predict(places, level, tiles, seed=0)
    assert np.allclose(predicted, level, atol=0.05) and FOLDS < SIDE * SIDE


def test_the_difference_of_an_input_with_itself_is_nothing():
    random = np.random.default_rng(1)
    level, tiles = random.normal(size=160), np.repeat(np.arange(16), 10)
    guess = np.stack([level + random.normal(size=160)] * 2)
    assert difference(level, guess, guess, tiles) == {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert difference(level, np.stack([level] * 2), guess, tiles)["low"] > 0


def test_colour_numbers_are_fifteen():
    assert colour_numbers(np.asarray(picture(3))).shape == (15,)


# ---- training views


@pytest.fixture(scope="module")
def little() -> Encoder:
    return tower_encoder()


def test_views_are_the_frozen_stages_maps_and_a_stopped_run_goes_on(tmp_path, little):
    chips = [picture(seed, 48) for seed in range(3)]
    make_views(tmp_path, little, chips, positions=1)
    first = np.array(open_views(tmp_path, little, 3).maps[0])
    make_views(tmp_path, little, chips, positions=2)
    views = open_views(tmp_path, little, 3)
    assert (
        views.positions == 2
        and np.array_equal(views.maps[0], first)
        and views.maps[1].any()
        and not views.maps[2].any()
    )
    standardise(little, [views])
    assert np.isfinite(little.model.visual.statistics_mean.numpy()).all()
    assert (little.model.visual.statistics_deviation > 0).all()


def test_sources_are_trained_together_from_their_views(tmp_path, little):
    names = list(COLOURS)
    sources = [
        Source(
            str(part),
            [coloured(name) for name in part],
            [((TEXTS[name],),) for name in part],
            np.full(len(part), number),
        )
        for number, part in enumerate((names[:4], names[4:]))
    ]
    views = [viewed(tmp_path / str(number), little, source) for number, source in enumerate(sources)]
    before = little.embed_texts(["red"])
    recipe = Recipe(steps=2, rows=6, warm_up=1, positions=SHOWN, caption_rows=2)
    train(little, sources, views, recipe, tmp_path / "checkpoint.safetensors")
    assert not np.allclose(before, little.embed_texts(["red"])) and not (tmp_path / "checkpoint.safetensors").exists()


def test_weights_of_another_order_of_names_go_into_the_trunk(tmp_path, little):
    trunk = little.model.visual.trunk
    given = {f"_{name}": tensor + 1 for name, tensor in trunk.state_dict().items()} | {"_fc.weight": torch.zeros(2, 2)}
    torch.save(given, tmp_path / "weights.pth")
    load_backbone(little, tmp_path / "weights.pth")
    assert all(torch.equal(tensor, given[f"_{name}"]) for name, tensor in trunk.state_dict().items())


def test_a_training_goes_on_with_its_second_part_where_the_first_is_done(tmp_path, monkeypatch, capsys):
    names = list(COLOURS)
    chips = Captioned([coloured(name) for name in names], [(TEXTS[name],) for name in names], np.array(names))

    def source(name: str) -> Source:
        return Source(name, chips.chips[:2], [((TEXTS[name],),) for name in names[:2]], np.full(2, 7))

    recipe = Recipe(steps=2, rows=4, warm_up=1, positions=SHOWN, caption_rows=2)
    parts = {
        "training_parts": lambda: (chips, chips, 3),
        "milan": lambda: source("milan"),
        "nanchang": lambda: source("nanchang"),
    }
    parts |= {
        "town": lambda _: source("town"),
        "untrained": lambda *_: tower_encoder(),
        "FIRST": recipe,
        "SECOND": recipe,
    }
    parts |= {"aerial": lambda _: source("aerial")}
    for name, part in parts.items():
        monkeypatch.setattr(f"benchmarks.surroundings.real_imagery_training.{name}", part)
    given = ["", "--backbone", "none.pth", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", given)
    main()
    assert Encoder.open(tmp_path / "out").config.trained_on["near_duplicates_of_the_test_part_left_out"] == 3
    monkeypatch.setattr("benchmarks.surroundings.real_imagery_training.untrained", lambda *_: pytest.fail("began anew"))
    main()
    assert "held_out_mean_recall" in capsys.readouterr().out
