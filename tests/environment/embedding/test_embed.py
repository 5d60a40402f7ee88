import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest

from lecdiff_core import api, training
from lecdiff_core.city.folder import City
from lecdiff_core.environment.descriptions.record import append_description, write_descriptions
from lecdiff_core.environment.embedding import embed
from lecdiff_core.environment.embedding.embed import embed_city, stations_to_embed
from lecdiff_core.environment.embedding.encoder import Encoder
from lecdiff_core.environment.embedding.table import read_environment, write_environment
from lecdiff_core.environment.search.neighbours import search
from lecdiff_core.errors import UserError
from tests.environment.little_encoder import coloured, furnish, one_thread, said, tiny_encoder, write_chip  # noqa: F401


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tiny_encoder(folder)
    return folder


@pytest.fixture
def city(little_city) -> City:
    furnish(little_city)
    return little_city


@pytest.fixture
def no_images(monkeypatch):
    """From here on, opening an image or loading the encoder fails."""

    def forbidden(*args, **kwargs):
        raise AssertionError("touched an image")

    monkeypatch.setattr(embed, "read_image", forbidden)
    monkeypatch.setattr("PIL.Image.open", forbidden)
    monkeypatch.setattr("lecdiff_core.environment.embedding.encoder.Encoder.of", forbidden)


def table_of(city):
    table = read_environment(city)
    assert table is not None
    return table


def descriptions_file(city):
    return city.path / "descriptions.jsonl"


def test_every_station_gets_three_rows_of_length_one(city, encoder_folder):
    made = embed_city(city, str(encoder_folder))
    table = table_of(city)
    assert made.made == list(city.station_ids) and table.station_ids == city.station_ids
    for kind in ("image", "text", "unified"):
        rows = getattr(table, kind)
        assert rows.shape == (len(city.station_ids), made.width) and rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    chips = [hashlib.sha256(city.chip(station).read_bytes()).hexdigest() for station in city.station_ids]
    assert list(table.image_sha256) == chips


def test_the_city_keeps_the_encoder_that_made_its_embeddings(city, encoder_folder):
    made = embed_city(city, str(encoder_folder))
    for name in ("config.json", "model.safetensors"):
        assert (city.path / "encoder" / name).read_bytes() == (encoder_folder / name).read_bytes()
    assert made.encoder == table_of(city).encoder
    assert embed_city(city, str(city.path / "encoder")).encoder == made.encoder
    without_name = embed_city(city)
    assert without_name.encoder == made.encoder and not without_name.made


def test_a_second_run_opens_no_image_whatever_its_time(city, encoder_folder, monkeypatch):
    embed_city(city, str(encoder_folder))
    before = (city.path / "environment.safetensors").read_bytes()
    for day, station in enumerate(city.station_ids):
        os.utime(city.chip(station), (1e9 + day, 1e9 + day))
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("opened an image"))
    again = embed_city(city, str(encoder_folder))
    assert again.made == [] and again.kept == list(city.station_ids)
    assert (city.path / "environment.safetensors").read_bytes() == before
    assert stations_to_embed(city, table_of(city)) == []


def test_another_chip_of_the_same_size_and_time_is_noticed(city, encoder_folder):
    embed_city(city, str(encoder_folder))
    first, second = (city.chip(station) for station in city.station_ids[:2])
    state, content = first.stat(), second.read_bytes()
    first.write_bytes(content)
    os.utime(first, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert stations_to_embed(city, table_of(city)) == [city.station_ids[0]]
    assert embed_city(city, str(encoder_folder)).made == [city.station_ids[0]]
    assert stations_to_embed(city, table_of(city)) == []


def test_a_chip_replaced_while_it_is_embedded_gives_no_rows_under_its_hash(city, encoder_folder, monkeypatch):
    chip, embed_jobs = city.chip(city.station_ids[0]), embed._embed

    def replaced(*words):
        chip.write_bytes(city.chip(city.station_ids[1]).read_bytes())
        embed_jobs(*words)

    monkeypatch.setattr(embed, "_embed", replaced)
    report = embed_city(city, str(encoder_folder))
    assert "replaced meanwhile" in report.unreadable[city.station_ids[0]]
    assert table_of(city).image_sha256[0] == ""
    monkeypatch.undo()
    assert embed_city(city, str(encoder_folder)).made == list(report.unreadable)


def test_a_forecast_with_embeddings_touches_no_image(city, encoder_folder, monkeypatch):
    monkeypatch.setitem(training.RECIPES, "default", training.Recipe(epochs=1, steps=2, validation_samples=4))
    embed_city(city, str(encoder_folder))
    api.train(city, "lec-diff", device="cpu")
    for station in city.station_ids:
        city.chip(station).unlink()
    for name in ("PIL.Image.open", "lecdiff_core.environment.embedding.encoder.Encoder.of"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("touched an image"))
    first, second = (api.forecast(city, device="cpu") for _ in range(2))
    assert np.array_equal(first.samples, second.samples)
    table = table_of(city)
    turned = {kind: np.roll(getattr(table, kind), 1, axis=0) for kind in ("image", "text", "unified")}
    write_environment(city, replace(table, **turned))
    moved = api.forecast(city, device="cpu")
    assert not np.array_equal(first.samples, moved.samples)  # it is the stored rows that count


def test_chips_copied_with_new_times_are_not_embedded_again(city, encoder_folder, monkeypatch):
    embed_city(city, str(encoder_folder))
    for station in city.station_ids:
        city.chip(station).touch()
    monkeypatch.setattr(embed, "read_image", lambda _: pytest.fail("touched an image"))
    assert embed_city(city, str(encoder_folder)).made == []


def test_only_what_changed_is_embedded_again(city, encoder_folder):
    embed_city(city, str(encoder_folder))
    before = table_of(city)
    first, second, *_ = city.station_ids
    digest = write_chip(city, first, coloured("white", 40))
    append_description(descriptions_file(city), said(first, "All is white.", digest))
    append_description(descriptions_file(city), said(second, "Another text.", before.image_sha256[1]))
    again = embed_city(city, str(encoder_folder))
    after = table_of(city)
    assert again.made == [first, second]
    assert not np.allclose(before.image[0], after.image[0]) and np.array_equal(before.image[2:], after.image[2:])
    assert np.allclose(before.image[1], after.image[1], atol=1e-6) and not np.allclose(before.text[1], after.text[1])


def test_another_encoder_embeds_everything_again(city, encoder_folder, tmp_path):
    embed_city(city, str(encoder_folder))
    tiny_encoder(tmp_path / "other", seed=5)
    assert embed_city(city, str(tmp_path / "other")).made == list(city.station_ids)


def test_several_descriptions_are_averaged_and_dropped_sentences_do_not_count(city, encoder_folder):
    station = city.station_ids[0]
    digest = hashlib.sha256(city.chip(station).read_bytes()).hexdigest()
    texts = ["Red ground.", "A field that is red."]
    write_descriptions(
        descriptions_file(city),
        [said(station, text, digest, n=n, dropped="Fabricated words.") for n, text in enumerate(texts, start=1)],
    )
    embed_city(city, str(encoder_folder))
    from lecdiff_core.environment.embedding.encoder import Encoder

    rows = Encoder.open(encoder_folder).embed_texts(texts)
    wanted = rows.mean(0) / np.linalg.norm(rows.mean(0))
    assert np.allclose(table_of(city).text[0], wanted, atol=1e-5)


def test_a_station_without_description_is_united_with_the_empty_text(city, encoder_folder):
    write_descriptions(descriptions_file(city), [])
    made = embed_city(city, str(encoder_folder))
    table = table_of(city)
    assert made.without_text == list(city.station_ids)
    assert not table.text.any() and np.allclose(np.linalg.norm(table.unified, axis=1), 1, atol=1e-5)


def test_a_description_of_an_older_chip_is_not_used_and_is_named(city, encoder_folder):
    station = city.station_ids[3]
    write_chip(city, station, coloured("black", 48))
    made = embed_city(city, str(encoder_folder))
    assert made.stale == made.without_text == [station]
    assert not table_of(city).text[3].any()


def test_missing_and_unreadable_chips_are_named_and_get_zeros(city, encoder_folder):
    missing, empty, text, *_ = city.station_ids
    city.chip(missing).unlink()
    city.chip(empty).write_bytes(b"")
    city.chip(text).write_bytes(b"<html>not found</html>")
    made = embed_city(city, str(encoder_folder))
    assert made.without_chip == [missing] and set(made.unreadable) == {empty, text}
    assert "web page" in made.unreadable[text]
    table = table_of(city)
    assert table.image_sha256[:3] == ("", "", "")
    assert not table.image[:3].any() and not table.unified[:3].any() and table.image[3].any()


def test_a_chip_that_vanished_loses_its_row(city, encoder_folder):
    embed_city(city, str(encoder_folder))
    city.chip(city.station_ids[0]).unlink()
    embed_city(city, str(encoder_folder))
    assert not table_of(city).image[0].any() and table_of(city).image[1].any()


class Stopped(Exception):
    pass


def test_a_run_that_was_stopped_goes_on_where_it_was(city, encoder_folder, monkeypatch):
    monkeypatch.setattr(embed, "BLOCK", 4)

    def stop(done, total, message):
        raise Stopped

    with pytest.raises(Stopped):
        embed_city(city, str(encoder_folder), report=stop)
    assert read_environment(city) is None
    resumed = embed_city(city, str(encoder_folder))
    chips = {station: city.chip(station).read_bytes() for station in city.station_ids}
    first = list(dict.fromkeys(chips.values()))[:4]
    assert resumed.kept == [station for station in city.station_ids if chips[station] in first]
    assert resumed.made == [station for station in city.station_ids if chips[station] not in first]
    assert table_of(city).image.all(axis=1).any()


def test_a_stopped_change_of_encoder_leaves_the_old_one_and_its_embeddings(city, encoder_folder, tmp_path):
    embed_city(city, str(encoder_folder))
    before = search(city, "red ground")
    tiny_encoder(tmp_path / "other", seed=5)

    def stop(done, total, message):
        raise Stopped

    with pytest.raises(Stopped):
        embed_city(city, str(tmp_path / "other"), report=stop)
    assert search(city, "red ground") == before
    assert embed_city(city, str(tmp_path / "other")).encoder == table_of(city).encoder
    assert search(city, "red ground") != before


@pytest.mark.parametrize("damage", [b"", b"\0" * 100])
def test_damaged_embeddings_are_made_again(city, encoder_folder, damage):
    embed_city(city, str(encoder_folder))
    before = table_of(city)
    (city.path / "environment.safetensors").write_bytes(damage)
    (city.path / "encoder" / "embedded.safetensors").write_bytes(damage)
    assert embed_city(city, str(encoder_folder)).made == list(city.station_ids)
    assert np.allclose(table_of(city).unified, before.unified, atol=1e-6)


def test_a_city_without_any_chip_gets_nothing_and_is_told(little_city, encoder_folder):
    made = embed_city(little_city, str(encoder_folder))
    assert "lecdiff imagery" in made.nothing and "stations are not embedded" in made.nothing
    assert not (little_city.path / "environment.safetensors").exists()


def test_the_very_same_chip_and_text_are_embedded_once(city, encoder_folder, monkeypatch):
    first, second, *_ = city.station_ids
    embed_city(city, str(encoder_folder))
    alike = city.chip(second)
    alike.write_bytes(city.chip(first).read_bytes())
    descriptions_file(city).unlink(missing_ok=True)
    asked = []
    whole = Encoder.embed_pairs
    monkeypatch.setattr(
        Encoder, "embed_pairs", lambda self, images, texts: asked.extend(images) or whole(self, images, texts)
    )
    made = embed_city(city, str(encoder_folder))
    assert len(asked) <= len(city.station_ids) - 1 and second in made.made
    table = table_of(city)
    assert np.array_equal(table.unified[0], table.unified[1])
    assert embed_city(city, str(encoder_folder)).made == []


@pytest.mark.parametrize("encoder", ["no-such-encoder", "ViT-B-32/nothing"])
def test_an_unknown_encoder_is_refused_and_changes_nothing(city, encoder):
    with pytest.raises(UserError):
        embed_city(city, encoder)
    assert not (city.path / "encoder").exists()


def test_an_unknown_device_is_refused(city, encoder_folder):
    with pytest.raises(UserError, match="not a device"):
        embed_city(city, str(encoder_folder), device="abacus")


def test_progress_is_told(city, encoder_folder):
    told = []
    embed_city(city, str(encoder_folder), report=lambda done, total, message: told.append((done, total, message)))
    assert told[-1][:2] == (len(city.station_ids),) * 2 and "chips" in told[-1][2]
