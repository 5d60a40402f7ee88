from pathlib import Path

import numpy as np
import pytest
import torch

from lecdiff_core.environment.embedding.contrastive import Recipe, train_encoder
from lecdiff_core.environment.embedding.encoder import Encoder, beside_statistics
from lecdiff_core.environment.embedding.tower import COARSE, LARGEST, colour_statistics, map_statistics
from lecdiff_core.errors import UserError
from tests.environment.little_encoder import COLOURS, TEXTS, coloured, coloured_pairs, one_thread, tiny_config  # noqa: F401

BACKBONE = "test_efficientnet"  # timm's own tiny one, for tests


def tower_encoder(seed: int = 0, **changes) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        values = {"stem": (), "backbone": BACKBONE, "frozen": 2, "statistics_share": 0.5, "image_size": 32}
        return Encoder(tiny_config(**values | changes))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tower_encoder()


@pytest.fixture(scope="module")
def rows(encoder) -> tuple[np.ndarray, ...]:
    return encoder.embed_pairs([coloured(name) for name in COLOURS], list(TEXTS.values()))


# ---- rows


def test_rows_have_one_width_and_length_one(encoder, rows):
    for kind in rows:
        assert kind.shape == (len(COLOURS), encoder.width)
        assert np.allclose(np.linalg.norm(kind, axis=1), 1, atol=1e-5)


def test_statistics_stand_beside_what_captions_teach_and_a_text_has_none(encoder, rows):
    image, text, unified = rows
    latent = encoder.config.model["embed_dim"]
    assert np.allclose((image[:, latent:] ** 2).sum(1), encoder.config.statistics_share, atol=1e-5)
    assert np.array_equal(image[:, latent:], unified[:, latent:])
    assert not text[:, latent:].any() and np.abs(text[:, :latent]).max() > 0
    assert np.allclose(text, encoder.embed_texts(list(TEXTS.values())), atol=1e-5)


def test_a_share_of_nothing_leaves_the_cosine_of_image_and_text_as_it_was():
    plain, shared = tower_encoder(statistics_share=0.0), tower_encoder(statistics_share=0.75)
    images, texts = [coloured(name) for name in COLOURS], list(TEXTS.values())
    cosines = [one.embed_images(images) @ one.embed_texts(texts).T for one in (plain, shared)]
    assert np.allclose(cosines[1], cosines[0] * 0.5, atol=1e-5)


def test_statistics_are_read_off_in_one_scale_unless_they_are_too_long():
    statistics = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, -1.0, 0.5, 0.0], [4.0, 4.0, -4.0, 4.0]])
    beside = beside_statistics(torch.eye(3), statistics, 0.25)
    assert torch.allclose(beside.norm(dim=1), torch.ones(3))
    assert torch.allclose(beside[:2, 3:7] / 0.5 * 4, statistics[:2])
    assert beside[2, 3] == pytest.approx(0.25) and beside[2, 7] == 0


def test_a_tower_does_not_mind_the_rows_beside(encoder):
    images = [coloured(name) for name in COLOURS]
    alone = np.concatenate([encoder.embed_images([image]) for image in images])
    assert np.allclose(encoder.embed_images(images), alone, atol=1e-5)


# ---- statistics


def test_colour_statistics_of_a_plain_picture_are_its_colour():
    plain = torch.tensor([0.2, -0.4, 0.9])[None, :, None, None].expand(1, 3, 16, 16)
    means, deviations, *quantiles = colour_statistics(plain).reshape(5, 3)
    assert torch.allclose(means, plain[0, :, 0, 0]) and torch.allclose(deviations, torch.zeros(3), atol=1e-6)
    assert all(torch.allclose(one, plain[0, :, 0, 0]) for one in quantiles)


def test_coarse_deviation_tells_halves_from_grain():
    halves, grain = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    halves[..., 8:] = 1
    grain[..., ::2] = 1
    (_, whole, coarse), (_, whole_too, coarse_too) = map_statistics(halves)[0], map_statistics(grain)[0]
    assert torch.allclose(whole, whole_too)
    assert coarse > 0.4 and coarse_too < 1e-6 and 16 % COARSE == 0


def test_a_statistic_far_out_counts_as_the_largest(encoder):
    far = torch.full((1, encoder.model.visual.statistics_mean.numel()), 1e6)
    assert encoder.model.visual.standardised(far).max() == LARGEST


# ---- files and training


def test_a_saved_tower_comes_back(tmp_path, encoder):
    encoder.save(tmp_path)
    again = Encoder.open(tmp_path)
    images = [coloured(name) for name in COLOURS]
    assert np.allclose(again.embed_images(images), encoder.embed_images(images), atol=5e-3)


def test_weights_of_another_backbone_are_refused_by_name(tmp_path, encoder):
    encoder.save(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace(BACKBONE, "test_efficientnet_gn"))
    with pytest.raises(UserError, match=r"model\.safetensors"):
        Encoder.open(tmp_path)


@pytest.mark.parametrize("backbone", ["no_such_network", "vit_tiny_patch16_224", "../elsewhere", "hf_hub:some/where"])
def test_a_backbone_that_cannot_be_built_is_refused_by_name(backbone):
    with pytest.raises(UserError, match="cannot be built"):
        tower_encoder(backbone=backbone)


def test_training_leaves_the_frozen_stages_and_all_normalisation_as_they_were():
    encoder = tower_encoder()
    before = {name: tensor.clone() for name, tensor in encoder.model.state_dict().items()}
    train_encoder(encoder, coloured_pairs(), Recipe(steps=3, rows=6, warm_up=1, caption_rows=2))
    moved = {name for name, tensor in encoder.model.state_dict().items() if not torch.equal(tensor, before[name])}
    still = ("visual.trunk.conv_stem.", "visual.trunk.bn1.", "visual.trunk.blocks.0.", "visual.trunk.blocks.1.")
    assert not any(name.startswith(still) or "running_" in name or "statistics_" in name for name in moved)
    assert any(name.startswith("visual.trunk.blocks.2.") for name in moved) and "visual.projection.weight" in moved


def test_the_tower_in_two_parts_is_the_tower(encoder):
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tower = encoder.model.visual
    maps, statistics = tower.early(pixels)
    whole = tower(pixels)
    parted = (*tower.late(maps), tower.standardised(statistics))
    assert all(torch.equal(one, other) for one, other in zip(whole, parted, strict=True))


def test_names_of_shipped_encoders_are_folders_of_assets():
    from lecdiff_core.environment.embedding.encoder import find_encoder

    clean = find_encoder("clean")
    assert isinstance(clean, Path) and (clean / "config.json").is_file()
