"""What each model of the catalogue gets to see of a city."""

from dataclasses import replace

import numpy as np
import pytest

from lecdiff_core import api
from lecdiff_core.city.folder import City
from lecdiff_core.environment.embedding.table import EnvironmentTable, read_panel, write_environment
from lecdiff_core.errors import UserError
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.models.catalogue import MODELS, build, entry, runnable, seen
from lecdiff_core.models.lecdiff import LecDiff
from lecdiff_core.models.names import NAMES, OF_SURROUNDINGS
from lecdiff_core.training import RECIPES, Recipe
from tests.models.test_all_models import panel

KINDS = ("image", "text", "unified")


def embed(city: City) -> EnvironmentTable:
    """Give a city random embeddings, of another width for each kind."""
    rng = np.random.default_rng(0)
    count = len(city.station_ids)
    made = {kind: rng.standard_normal((count, 3 + index)).astype(np.float32) for index, kind in enumerate(KINDS)}
    table = EnvironmentTable(city.station_ids, **made, encoder="abc", image_sha256=("",) * count)
    write_environment(city, table)
    return table


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_recipe_and_a_view_that_changes_nothing_but_the_environment(name: str) -> None:
    assert entry(name).recipe in RECIPES
    given, view = panel(), seen(name, panel())
    np.testing.assert_array_equal(view.values, given.values)
    assert (view.station_ids, view.holidays) == (given.station_ids, given.holidays)


def test_every_model_has_a_name_for_people_and_every_other_name_is_of_another_library_or_of_places() -> None:
    assert set(MODELS) == {name for name, named in NAMES.items() if named.role != "library" and not named.unseen}


def test_drop_gei_and_the_baselines_see_no_environment() -> None:
    for name in ("drop-gei", "lstm", "stgcn", "stid", "climatology"):
        assert seen(name, panel()).environment is None, name
    assert seen("lec-diff", panel()).environment is panel().environment


def test_shuffled_gei_gives_every_seed_the_same_wrong_environment() -> None:
    environment = panel().environment
    shuffled = seen("shuffled-gei", panel()).environment
    assert environment is not None
    assert shuffled is not None
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, environment))
    assert not np.array_equal(shuffled, environment)
    np.testing.assert_array_equal(shuffled, seen("shuffled-gei", panel()).environment)


@pytest.mark.parametrize("name", ["shuffled-gei", "lec-diff-text"])
def test_what_measures_embeddings_is_refused_without_them(name: str) -> None:
    with pytest.raises(UserError, match="lecdiff embed"):
        seen(name, panel(with_environment=False))


def test_drop_sgf_forecasts_every_station_alone() -> None:
    model, whole = build("drop-sgf", panel(), seed=0), build("lec-diff", panel(), seed=0)
    assert isinstance(model, LecDiff)
    assert isinstance(whole, LecDiff)
    assert model.hops == 0
    assert model.config == replace(whole.config, graph_layers=0)


def test_a_city_without_embeddings_runs_all_but_what_measures_them(little_city: City) -> None:
    assert set(runnable(little_city)) == MODELS.keys() - set(OF_SURROUNDINGS)
    embed(little_city)
    assert set(runnable(little_city)) == MODELS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_each_embedding_has_its_model(little_city: City, kind: str) -> None:
    table = embed(little_city)
    read, encoder = read_panel(little_city, entry(f"lec-diff-{kind}").embedding)
    assert encoder == "abc"
    np.testing.assert_array_equal(read.environment, getattr(table, kind))


@pytest.mark.parametrize("name", ["stgcn", "stid+prior", "wavenet", "tmaf"])
def test_a_trained_baseline_is_saved_and_forecasts_whatever_becomes_of_the_embeddings(
    little_city: City, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    quick = Recipe(epochs=1, steps=2, rows=12, validation_samples=2)
    monkeypatch.setitem(RECIPES, entry(name).recipe, quick)
    embed(little_city)
    api.train(little_city, name)
    (little_city.path / "environment.safetensors").unlink()
    forecast = api.forecast(City.open(little_city.path), name, samples=3, stations=["S02", "S05"])
    assert forecast.samples.shape == (3, 2, 24)
    assert np.isfinite(forecast.samples).all()
    assert forecast.notices == ()


def test_a_model_trained_on_one_embedding_is_read_with_it(little_city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "default", Recipe(epochs=1, steps=2, rows=12, validation_samples=2))
    table = embed(little_city)
    api.train(little_city, "lec-diff-text")
    forecaster = Forecaster.load(City.open(little_city.path), "lec-diff-text")
    assert forecaster.config.encoder == "abc"
    np.testing.assert_array_equal(forecaster.panel.environment, table.text)
