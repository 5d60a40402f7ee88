"""Saved models: round trip, and every way a checkpoint may not fit or be damaged."""

import json
from pathlib import Path

import pytest
import torch

from lecdiff_core import api
from lecdiff_core.city.folder import City
from lecdiff_core.errors import UserError
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.models.checkpoint import load_model
from tests.conftest import make_city

MODEL = "adaptive-climatology"


@pytest.fixture
def trained(little_city: City) -> City:
    api.train(little_city, MODEL)
    return little_city


def folder(city: City) -> Path:
    return city.model_folder(MODEL)


def change(city: City, **values: object) -> None:
    file = folder(city) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_round_trip(trained: City) -> None:
    model, config = load_model(folder(trained))
    assert config.model == MODEL
    assert config.station_ids == list(trained.station_ids)
    assert config.data_hash == trained.data_hash
    assert not model.training


def test_a_model_whose_change_is_not_yet_in_place_is_there(trained: City) -> None:
    pending = folder(trained) / ".change" / "new"
    pending.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "metrics.json"):
        (folder(trained) / name).rename(pending / name)
    assert trained.models() == [MODEL]
    load_model(folder(trained))


def test_a_model_never_trained_is_missed_by_name(little_city: City) -> None:
    with pytest.raises(UserError, match="lecdiff train"):
        Forecaster.load(little_city, "lstm")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format_version": 99}, "format 99"),
        ({"interval": "30min"}, "interval '30min'.*'1h'"),
        ({"unit": "GB"}, "unit 'GB'.*'MB'"),
        ({"encoder": "abc"}, "environment embeddings"),
        ({"recipe": 0}, "recipe 0"),
        ({"model": "oracle"}, "no model 'oracle'"),
        ({"settings": {}}, "train again"),
        ({"settings": {"steps_per_day": 12}}, "steps a day"),
        ({"surprise": 1}, "surprise"),
        ({"weights_sha256": "0" * 64}, "truncated or changed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_that_does_not_fit_is_refused(trained: City, changed: dict[str, object], message: str) -> None:
    change(trained, **changed)
    with pytest.raises(UserError, match=message):
        Forecaster.load(trained, MODEL)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "removed"])
def test_damaged_weights_are_refused(trained: City, damage: str) -> None:
    file = folder(trained) / "model.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[-5] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        Forecaster.load(trained, MODEL)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00"])
def test_an_unreadable_config_is_refused(trained: City, content: bytes) -> None:
    (folder(trained) / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json"):
        Forecaster.load(trained, MODEL)


def test_a_model_moves_to_a_city_with_other_stations_with_a_notice(trained: City, tmp_path: Path) -> None:
    import shutil

    other = make_city(tmp_path / "other", stations=15, seed=4)
    shutil.copytree(folder(trained), other.model_folder(MODEL))
    drawn = Forecaster.load(other, MODEL).forecast()
    assert drawn.samples.shape == (100, 15, 24)
    assert "3 stations were not seen in training (S12, S13, S14)" in drawn.notices[0]


def test_loading_draws_no_random_numbers(trained: City) -> None:
    before = torch.get_rng_state()
    Forecaster.load(trained, MODEL).forecast()
    assert torch.equal(before, torch.get_rng_state())
