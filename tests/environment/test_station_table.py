"""Surroundings from tables of numbers: read, embedded alone and beside chips, and put into words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lecdiff_core import api, training
from lecdiff_core.city.folder import City
from lecdiff_core.cli import app
from lecdiff_core.environment.descriptions.describe import describe_city, refine_city
from lecdiff_core.environment.descriptions.record import current_descriptions, read_descriptions
from lecdiff_core.environment.descriptions.tabular import TABLE_MODEL, describe_table
from lecdiff_core.environment.embedding.embed import embed_city, stations_to_embed
from lecdiff_core.environment.embedding.table import EnvironmentTable, read_environment
from lecdiff_core.environment.search.clusters import clusters
from lecdiff_core.environment.search.neighbours import neighbours, search
from lecdiff_core.environment.station_table import StationTable, embedded, read_station_table, stored_table
from lecdiff_core.errors import UserError
from lecdiff_core.status import steps
from tests.environment.little_encoder import furnish, one_thread, tiny_encoder  # noqa: F401

COUNTS = ["shops", "schools", "bus_stops"]


def poi(city: City, seed: int = 0) -> pd.DataFrame:
    numbers = np.random.default_rng(seed).poisson([20.0, 1.0, 5.0], (len(city.station_ids), 3))
    return pd.DataFrame(numbers, columns=COUNTS).assign(station_id=city.station_ids)


def written(folder: Path, table: pd.DataFrame, name: str = "poi.csv") -> Path:
    file = folder / name
    table.to_parquet(file) if file.suffix == ".parquet" else table.to_csv(file, index=False)
    return file


def environment(city: City) -> EnvironmentTable:
    table = read_environment(city)
    assert table is not None
    return table


@pytest.fixture
def encoder_folder(tmp_path: Path) -> str:
    tiny_encoder(tmp_path / "encoder")
    return str(tmp_path / "encoder")


# ---- reading


@pytest.mark.parametrize("name", ["poi.csv", "poi.parquet"])
def test_both_forms_give_the_same_numbers_and_come_back_from_the_city(
    little_city: City, tmp_path: Path, name: str
) -> None:
    table = poi(little_city).sample(frac=1, random_state=0)
    read = read_station_table(written(tmp_path, table, name), little_city)
    assert read.station_ids == tuple(table.station_id) and read.columns == tuple(COUNTS)
    assert np.array_equal(read.values, table[COUNTS]) and read.counted.all()
    embed_city(little_city, table=tmp_path / name)
    kept = stored_table(little_city)
    assert kept is not None and kept.sha256 == read.sha256


BAD = {
    "text in a number column": (lambda t: t.astype({"shops": object}).replace({"shops": {t.shops[2]: "many"}}), "many"),
    "NaN": (lambda t: t.assign(shops=t.shops.where(t.index != 3)), "row 4, column shops: there is no number"),
    "infinite": (lambda t: t.assign(shops=t.shops.astype(float).where(t.index != 3, np.inf)), "row 4, column shops"),
    "one row": (lambda t: t[:1], "one station alone"),
    "no rows": (lambda t: t[:0], "no rows"),
    "unknown stations alone": (lambda t: t.assign(station_id=t.station_id + "x"), "none of its stations"),
    "a station twice": (lambda t: pd.concat([t, t[:1]]), "station S00 is in row 1 already"),
    "no station column": (lambda t: t.drop(columns="station_id"), "call it station_id"),
    "no numbers": (lambda t: t[["station_id"]], "no column beside station_id"),
    "nothing that differs": (lambda t: t.assign(shops=1, schools=0, bus_stops=2), "tells nothing apart"),
    "an empty id": (lambda t: t.assign(station_id=t.station_id.where(t.index != 1)), "row 2, column station_id"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused_in_one_line_and_changes_nothing(little_city: City, tmp_path: Path, case: str) -> None:
    change, words = BAD[case]
    file = written(tmp_path, change(poi(little_city)))
    before = sorted(path.name for path in little_city.path.iterdir())
    for command in (["embed"], ["describe", "--provider", "table"]):
        run = CliRunner().invoke(app, [command[0], str(little_city.path), *command[1:], "--from", str(file)])
        assert isinstance(run.exception, UserError | SystemExit), (case, run.exception)
        assert words in str(run.exception) and "\n" not in str(run.exception)
    assert sorted(path.name for path in little_city.path.iterdir() if path.suffix != ".lock") == before


def test_a_table_that_is_not_there_or_is_no_table(little_city: City, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        embed_city(little_city, table=tmp_path / "poi.csv")
    (tmp_path / "poi.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="cannot be read"):
        embed_city(little_city, table=tmp_path / "poi.parquet")


# ---- embedded


def test_a_table_alone_needs_no_image_and_no_encoder(little_city: City, tmp_path: Path) -> None:
    report = embed_city(little_city, table=written(tmp_path, poi(little_city)))
    table = environment(little_city)
    assert report.in_table == list(little_city.station_ids) and not report.nothing and not report.missing
    assert table.unified.shape == (12, 3) and table.unified.dtype == np.float32
    assert np.allclose(np.linalg.norm(table.unified, axis=1), 1, atol=1e-5)
    assert not table.image.any() and not table.text.any() and table.encoder == ""
    assert np.isclose((table.rows(little_city.station_ids) ** 2).sum(1).mean(), 1, atol=1e-5)
    assert not (little_city.path / "encoder").exists()
    assert len(neighbours(little_city, "S00", 3)) == 3 and len(clusters(little_city).labels) == 12
    with pytest.raises(UserError, match="numbers of a table alone"):
        search(little_city, "shops")
    assert steps(little_city)["embed"].state == "done"


def test_stations_on_one_side_alone_are_named_and_the_rest_is_made(little_city: City, tmp_path: Path) -> None:
    table = poi(little_city).assign(station_id=[*little_city.station_ids[:10], "X1", "X2"])
    report = embed_city(little_city, table=written(tmp_path, table))
    assert report.unknown == ["X1", "X2"] and report.not_in_table == ["S10", "S11"] and not report.nothing
    assert "S10" in report.missing and "X1" in report.missing
    assert not environment(little_city).unified[10:].any() and environment(little_city).known.sum() == 10
    with pytest.raises(UserError, match="not known"):
        neighbours(little_city, "S11")


def test_counts_are_told_by_their_logarithm_and_given_embeddings_stay(little_city: City) -> None:
    values = np.array([[1.0, 0.2], [10.0, 0.9], [1000.0, 0.4]])
    rows, _ = embedded(StationTable(("A", "B", "C"), ("shops", "green"), values))
    expected = np.column_stack([np.log1p(values[:, 0]), values[:, 1]])
    expected = (expected - expected.mean(0)) / expected.std(0)
    assert np.allclose(rows, expected / np.sqrt((expected**2).sum(1).mean()), atol=1e-6)
    given = np.random.default_rng(0).standard_normal((3, 4))
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    assert np.allclose(embedded(StationTable(("A", "B", "C"), ("a", "b", "c", "d"), given))[0], given, atol=1e-6)


def test_a_table_beside_chips_leaves_their_rows_and_joins_the_unified(
    little_city: City, tmp_path: Path, encoder_folder: str
) -> None:
    furnish(little_city)
    embed_city(little_city, encoder_folder)
    chips = environment(little_city)
    embed_city(little_city, encoder_folder, table=written(tmp_path, poi(little_city)))
    both = environment(little_city)
    assert np.array_equal(both.image, chips.image) and np.array_equal(both.text, chips.text)
    assert both.unified.shape == (12, chips.unified.shape[1] + 3) and both.encoder == chips.encoder
    assert np.allclose(np.linalg.norm(both.unified, axis=1), 1, atol=1e-5)
    assert both.made_by != chips.made_by and both.forecaster_input == "unified"
    content = (little_city.path / "environment.safetensors").read_bytes()
    again = embed_city(little_city, encoder_folder)
    assert again.made == [] and (little_city.path / "environment.safetensors").read_bytes() == content
    assert search(little_city, "red")


def test_a_model_refuses_embeddings_of_another_table(little_city: City, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(training.RECIPES, "default", training.Recipe(epochs=1, steps=2, validation_samples=4))
    embed_city(little_city, table=written(tmp_path, poi(little_city)))
    api.train(little_city, "lec-diff", device="cpu")
    assert len(api.forecast(little_city, "lec-diff", samples=3, device="cpu").station_ids) == 12
    other = poi(little_city, seed=1)
    embed_city(little_city, table=written(tmp_path, other))
    with pytest.raises(UserError, match="another encoder"):
        api.forecast(little_city, "lec-diff", samples=3, device="cpu")


def test_another_table_is_noticed(little_city: City, tmp_path: Path) -> None:
    embed_city(little_city, table=written(tmp_path, poi(little_city)))
    old = environment(little_city)
    assert stations_to_embed(little_city, old) == []
    describe_city(little_city, "table", table=written(tmp_path, poi(little_city, seed=1)))
    assert stations_to_embed(little_city, old) == list(little_city.station_ids)
    assert steps(little_city)["embed"].state == "outdated"
    (little_city.path / "surroundings.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="damaged"):
        embed_city(little_city)


# ---- in words


def test_what_stands_out_is_said_and_nothing_else() -> None:
    values = np.array(
        [[9.0, 0.0, 4.0], [2.0, 1.0, 4.0], [1.0, 1.0, 4.0], [0.0, 2.0, 4.0], [1.0, 3.0, 4.0], [1.0, 3.0, 4.0]]
    )
    said = describe_table(StationTable(tuple("ABCDEF"), ("shops", "schools_", "<b>halls</b>."), values))
    assert said["A"] == [
        "Very much is counted here: 13 in all, more than at 5 of the other 5 stations.",
        "More than at most stations there is of shops (9).",
        "Most of what is counted here is shops (9) and <b>halls</b> (4).",
        "None here, though common in the city: schools.",
    ]
    for row, station in enumerate("ABCDEF"):
        for name, amount in zip(("shops", "schools", "halls"), values[row], strict=True):
            absent = "None here" in said[station][-1] and name in said[station][-1]
            assert absent == (amount == 0)


def test_shares_are_percent_and_vectors_have_no_words() -> None:
    shares = StationTable(tuple("ABCDEF"), ("forest",), np.linspace(0.0, 0.75, 6)[:, None])
    assert describe_table(shares)["F"] == ["More than at most stations there is of forest (75 %)."]
    assert describe_table(shares)["C"] == ["Nothing that the table counts stands out here."]
    vectors = StationTable(("A", "B"), ("kg",), np.array([[-3.2], [1.5]]))
    with pytest.raises(UserError, match="nothing to say in words"):
        describe_table(vectors)


def test_a_described_table_is_embedded_and_found_by_words(
    little_city: City, tmp_path: Path, encoder_folder: str
) -> None:
    report = describe_city(little_city, "table", table=written(tmp_path, poi(little_city)[1:]))
    assert report.made == 11 and list(report.failed) == ["S00"] and "S00" in report.missing
    assert steps(little_city)["describe"].sentence == f"11 of 11 stations are described, by {TABLE_MODEL}."
    assert describe_city(little_city, "table").kept == 11
    embed_city(little_city, encoder_folder)
    table = environment(little_city)
    assert (
        table.text[1:].any(axis=1).all() and not table.image.any() and table.unified.shape[1] == table.text.shape[1] + 3
    )
    assert stations_to_embed(little_city, table) == []
    assert {name for name, _ in search(little_city, "shops", 20)} == set(little_city.station_ids[1:])


def test_a_table_speaks_beside_what_was_said_of_the_chip(little_city: City, tmp_path: Path) -> None:
    furnish(little_city)
    describe_city(little_city, "table", table=written(tmp_path, poi(little_city)))
    describe_city(little_city, "table", table=written(tmp_path, poi(little_city, seed=2)))
    said = current_descriptions(read_descriptions(little_city.path / "descriptions.jsonl"))["S00"]
    assert [one.model for one in said] == ["m", TABLE_MODEL]
    refine_city(little_city, again=True)
    assert current_descriptions(read_descriptions(little_city.path / "descriptions.jsonl"))["S00"][1] == said[1]


def test_options_of_models_do_not_go_with_a_table(little_city: City, tmp_path: Path) -> None:
    file = written(tmp_path, poi(little_city))
    for wrong in ({"per_station": 2}, {"model": "gpt-4o"}, {"budget": 1.0}):
        with pytest.raises(UserError, match="leave --model"):
            describe_city(little_city, "table", table=file, **wrong)
    with pytest.raises(UserError, match="--provider table"):
        describe_city(little_city, "offline", table=file)
    with pytest.raises(UserError, match="no table of surroundings"):
        describe_city(little_city, "table")


# ---- real tables


@pytest.mark.real
def test_points_of_interest_and_a_knowledge_graph_of_real_networks(real_data: Path, tmp_path: Path) -> None:
    from lecdiff_core.city.importers.importing import import_city

    cities = {name: tmp_path / name for name in ("nanchang", "beijing-5g")}
    for name, folder in cities.items():
        import_city(folder, real_data / name / "traffic.parquet", interval="1h", coordinates="none")
    nanchang, beijing = (City.open(folder) for folder in cities.values())
    counts = pd.read_csv(real_data / "nanchang" / "poi.csv")
    report = embed_city(nanchang, table=written(tmp_path, counts))
    assert len(report.in_table) == 307 and len(report.unknown) == 141
    assert describe_city(nanchang, "table").made == 307
    vectors = np.load(real_data / "beijing-5g" / "urban_kg_embedding_960x32.npy")
    graph = pd.DataFrame(vectors).rename(columns="kg{}".format).assign(station_id=list(beijing.station_ids))
    embed_city(beijing, table=written(tmp_path, graph, "graph.parquet"))
    rows = environment(beijing).unified
    assert rows.shape == (960, 32) and abs(float((rows @ rows.T).mean())) < 0.1
    with pytest.raises(UserError, match="nothing to say in words"):
        describe_city(beijing, "table")
