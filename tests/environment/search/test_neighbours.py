import hashlib
import shutil

import geopandas
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecdiff_core.city.folder import City, CityMeta, write_city, write_meta
from lecdiff_core.city.layout import DESCRIPTIONS_FILE
from lecdiff_core.environment.descriptions.record import Description, append_description
from lecdiff_core.environment.embedding.contrastive import Recipe, train_encoder
from lecdiff_core.environment.embedding.embed import embed_city
from lecdiff_core.environment.embedding.table import EnvironmentTable, write_environment
from lecdiff_core.environment.refinement.sentences import Sentence
from lecdiff_core.environment.search.clusters import cluster_names, clusters, projection
from lecdiff_core.environment.search.neighbours import (
    WORDS,
    encode_text,
    nearest,
    nearest_on_ground,
    neighbours,
    search,
)
from lecdiff_core.errors import UserError
from tests.conftest import make_city
from tests.environment.little_encoder import COLOURS, colour_of, coloured_pairs, furnish, one_thread, tiny_encoder  # noqa: F401


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> City:
    """A city of coloured chips, embedded by an encoder that learned the colours' names."""
    folder = tmp_path_factory.mktemp("colours")
    encoder = tiny_encoder(folder / "encoder")
    train_encoder(encoder, coloured_pairs(), Recipe(steps=120, rows=6, learning_rate=3e-3, warm_up=5, caption_rows=4))
    encoder.save(folder / "encoder")
    count = 18
    names = [f"S{index:02d}" for index in range(count)]
    points = geopandas.points_from_xy(0.01 * np.arange(count), np.zeros(count))
    stations = geopandas.GeoDataFrame({"station_id": names}, geometry=points, crs="EPSG:4326")
    index = pd.date_range("2024-01-01", periods=24, freq="1h", tz="UTC", name="timestamp")
    traffic = pd.DataFrame(np.ones((24, count), np.float32), index=index, columns=names)
    meta = CityMeta(name="Colours", timezone="UTC", interval="1h", imagery="local")
    city = write_city(folder / "city", meta, stations, traffic)
    furnish(city)
    embed_city(city, str(folder / "encoder"))
    return city


def by_hand(city: City, image: np.ndarray) -> None:
    """Write embeddings: rows of zeros are stations without a chip."""
    hashes = tuple("0" * 64 if row.any() else "" for row in image)
    write_environment(city, EnvironmentTable(city.station_ids, image, image, image, "e", hashes))


# ---- nearest rows


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 10_000))
@settings(deadline=None)
def test_nearest_is_what_sorting_everything_gives(rows, k, seed):
    random = np.random.default_rng(seed)
    embeddings = unit(random.integers(-2, 3, (rows, 4)) + 0.5)  # many ties
    query = unit(random.standard_normal(4))
    found, similarity = nearest(embeddings, query, k)
    whole = embeddings @ query
    wanted = np.lexsort((np.arange(rows), -whole))[:k]
    assert found.tolist() == wanted.tolist()
    assert similarity.tolist() == whole[wanted].tolist()


@pytest.mark.parametrize("k", [0, -3])
def test_nothing_asked_for_is_nothing_found(k):
    found, similarity = nearest(np.ones((3, 1), np.float32), np.ones(1, np.float32), k)
    assert len(found) == len(similarity) == 0


# ---- text search


@pytest.mark.parametrize("colour", COLOURS)
def test_words_find_the_stations_that_look_so(colours, colour):
    found = search(colours, f"a {colour} field", top=3)
    looks = [colour_of(colours.station_ids.index(station)) for station, _ in found]
    assert looks.count(colour) >= 2
    similarities = [similarity for _, similarity in found]
    assert similarities == sorted(similarities, reverse=True) and all(-1 <= one <= 1.0001 for one in similarities)


def test_a_station_whose_description_has_the_words_fits_better(colours, tmp_path):
    city = City.open(shutil.copytree(colours.path, tmp_path / "city"))
    before = dict(search(city, "lighthouse", top=99))
    chip = hashlib.sha256(city.chip("S07").read_bytes()).hexdigest()
    text = "A lighthouse stands here."
    told = Description(
        station_id="S07",
        n=1,
        text=text,
        sentences=[Sentence(text=text)],
        model="m",
        prompt_version="p",
        image_sha256=chip,
    )
    append_description(city.path / DESCRIPTIONS_FILE, told)
    after = dict(search(city, "lighthouse", top=99))
    assert {name for name in before if not np.isclose(before[name], after[name])} == {"S07"}
    assert np.isclose(after["S07"] - before["S07"], WORDS / (1 + WORDS))
    append_description(city.path / DESCRIPTIONS_FILE, told.model_copy(update={"image_sha256": "0" * 64}))
    assert np.isclose(dict(search(city, "lighthouse", top=99))["S07"], before["S07"])  # said of an older chip


def test_a_text_of_unknown_words_is_searched_too(colours):
    assert len(search(colours, "Ωμέγα zxqv 🏟", top=100)) == len(colours.station_ids)
    assert np.isclose(np.linalg.norm(encode_text(colours, "stadium")), 1, atol=1e-5)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_refused(colours, text):
    with pytest.raises(UserError, match="empty"):
        search(colours, text)


def test_without_embeddings_the_way_to_make_them_is_told(little_city):
    for ask in (
        lambda: search(little_city, "red"),
        lambda: neighbours(little_city, "S00"),
        lambda: clusters(little_city),
    ):
        with pytest.raises(UserError, match="lecdiff embed"):
            ask()


def test_without_its_encoder_a_city_cannot_be_searched(little_city):
    by_hand(little_city, unit(np.random.default_rng(0).standard_normal((12, 4))))
    with pytest.raises(UserError, match="no encoder"):
        search(little_city, "red")


# ---- neighbours


def test_neighbours_look_alike(colours):
    found = neighbours(colours, "S00", k=2)
    assert list(found.columns) == ["station_id", "similarity", "distance_m"]
    assert set(found["station_id"]) == {"S06", "S12"}
    assert found["distance_m"].to_numpy() == pytest.approx(
        [111_319.49 * 0.06 * (1 + (s == "S12")) for s in found["station_id"]]
    )


def test_neighbours_on_the_ground_stand_near(colours):
    found = nearest_on_ground(colours, "S05", k=2)
    assert set(found["station_id"]) == {"S04", "S06"}
    assert found["distance_m"].to_numpy() == pytest.approx([1113.19, 1113.19], abs=0.01)


def test_stations_without_a_chip_are_no_neighbours_but_stand_on_the_ground(little_city):
    image = unit(np.random.default_rng(0).standard_normal((12, 4)))
    image[3] = 0
    by_hand(little_city, image)
    assert "S03" not in set(neighbours(little_city, "S00", k=20)["station_id"])
    ground = nearest_on_ground(little_city, "S00", k=20).set_index("station_id")
    assert len(ground) == 11 and np.isnan(ground["similarity"]["S03"]) and ground["similarity"].notna().sum() == 10
    with pytest.raises(UserError, match="S03"):
        neighbours(little_city, "S03")


def test_an_unknown_station_is_refused(colours):
    with pytest.raises(UserError, match="nowhere"):
        neighbours(colours, "nowhere")


# ---- clusters and view


def test_clusters_are_kinds_of_surroundings_and_named_after_them(colours):
    found = clusters(colours, k=6)
    looks = np.array([colour_of(index) for index in range(18)])
    for label in range(6):
        assert len(set(looks[found.labels == label])) == 1
    named = {looks[found.labels == label][0]: found.names[label] for label in range(6)}
    assert "black" in named["black"].lower() and "blue" in named["blue"].lower()
    again = clusters(colours, k=6)
    assert np.array_equal(found.labels, again.labels) and found.names == again.names


def test_the_number_of_clusters_is_found_where_it_is_not_given(little_city):
    centres = unit(np.eye(5, 8))
    image = unit(np.repeat(centres, 3, axis=0)[:12] + 0.01 * np.random.default_rng(0).standard_normal((12, 8)))
    by_hand(little_city, image)
    assert len(clusters(little_city).names) == 4
    assert np.bincount(clusters(little_city).labels).tolist() == [3, 3, 3, 3]


def test_a_station_without_a_chip_is_in_no_cluster_and_has_no_place(little_city):
    image = unit(np.random.default_rng(0).standard_normal((12, 4)))
    image[3] = 0
    by_hand(little_city, image)
    found = clusters(little_city, k=3)
    assert found.labels[3] == -1 and set(found.labels) == {-1, 0, 1, 2}
    view = projection(little_city)
    assert np.isnan(view[3]).all() and np.isfinite(np.delete(view, 3, axis=0)).all()


@pytest.mark.parametrize("k", [0, -1, 13])
def test_an_impossible_number_of_clusters_is_refused(little_city, k):
    by_hand(little_city, unit(np.random.default_rng(0).standard_normal((12, 4))))
    with pytest.raises(UserError, match="not possible"):
        clusters(little_city, k=k)


def test_equal_surroundings_are_one_cluster(little_city):
    by_hand(little_city, unit(np.ones((12, 4))))
    assert len(clusters(little_city).names) == 1


def test_names_say_what_sets_a_cluster_apart():
    texts = (
        ["Detached houses with gardens. A road crosses."] * 3
        + ["Warehouses and a rail yard. A road crosses."] * 3
        + [""]
    )
    houses, halls = cluster_names(texts, np.array([0, 0, 0, 1, 1, 1, -1]), 2)
    assert "houses" in houses.lower() and "road" not in houses.lower()
    assert "warehouses" in halls.lower() or "rail yard" in halls.lower()
    assert cluster_names(["", ""], np.array([0, 1]), 2) == ("Surroundings 1", "Surroundings 2")


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_the_view_is_always_the_same(tmp_path, count):
    city = make_city(tmp_path / "c", stations=count)
    by_hand(city, unit(np.random.default_rng(count).standard_normal((count, 8))))
    view = projection(city)
    assert view.shape == (count, 2) and view.dtype == np.float32
    assert np.array_equal(view, projection(city)) and np.abs(view).max() <= 1


@pytest.mark.parametrize("coordinates", ["nominal", "none"])
def test_no_distance_is_told_between_places_that_are_not_real(colours, tmp_path, coordinates):
    folder = shutil.copytree(colours.path, tmp_path / "city")
    write_meta(folder, colours.meta.model_copy(update={"coordinates": coordinates}))
    city = City.open(folder)
    assert neighbours(city, "S00", 4)["distance_m"].isna().all()
    if coordinates == "none":
        with pytest.raises(UserError, match="nothing is known of where the stations"):
            nearest_on_ground(city, "S00", 4)
    else:
        assert nearest_on_ground(city, "S00", 4)["station_id"].tolist() == (
            nearest_on_ground(colours, "S00", 4)["station_id"].tolist()
        )
