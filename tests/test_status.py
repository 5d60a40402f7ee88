"""What a city folder is said to have, to lack, and to have from older data."""

import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lecdiff_core import api
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.layout import CONFIG_FILE, SURGES_FILE, benchmark_file, forecast_file
from lecdiff_core.demo import demo_city
from lecdiff_core.environment.descriptions.record import Description, write_descriptions
from lecdiff_core.environment.embedding.table import EnvironmentTable, write_environment
from lecdiff_core.environment.refinement.sentences import Sentence
from lecdiff_core.forecast import write_forecast
from lecdiff_core.status import saved_models, sources, steps
from tests.conftest import make_city


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (shade, 80, 80)).save(file, "JPEG")
    return file.getvalue()


def draw(city: City, station: str, shade: int) -> str:
    """Give a station a chip; returns its digest."""
    file = city.path / "imagery" / "chips" / f"{station}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(picture(shade))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def tell(city: City, digests: dict[str, str]) -> None:
    write_descriptions(
        city.path / "descriptions.jsonl",
        [
            Description(
                station_id=station,
                n=1,
                text="A field.",
                sentences=[Sentence(text="A field.")],
                model="painter",
                prompt_version="standard-1-00000000",
                image_sha256=digest,
            )
            for station, digest in digests.items()
        ],
    )


def test_surroundings_from_nothing_to_done_to_outdated(little_city: City) -> None:
    found = steps(little_city)
    assert list(found) == ["imagery", "describe", "embed", "train", "forecast", "benchmark", "surges"]
    assert {step.state for step in found.values()} == {"missing"}
    assert {name for name, step in found.items() if step.needs} == {"describe", "embed", "surges"}
    digests = {station: draw(little_city, station, 10) for station in little_city.station_ids[:-1]}
    found = steps(little_city)
    assert (found["imagery"].state, found["imagery"].sentence) == (
        "partial",
        "11 of 12 stations have a satellite image.",
    )
    assert found["describe"].needs == "" == found["embed"].needs
    last = little_city.station_ids[-1]
    digests[last] = draw(little_city, last, 10)
    tell(little_city, dict(list(digests.items())[:5]))
    found = steps(little_city)
    assert found["imagery"].state == "done"
    assert (found["describe"].state, found["describe"].sentence) == (
        "partial",
        "5 of 12 images are described, by painter.",
    )
    tell(little_city, digests)
    assert steps(little_city)["describe"].state == "done"
    draw(little_city, "S03", 200)
    assert steps(little_city)["describe"].sentence.endswith("1 of an older image.")
    assert steps(little_city)["describe"].state == "outdated"
    rows = np.eye(12, dtype=np.float32)
    write_environment(
        little_city, EnvironmentTable(little_city.station_ids, rows, rows, rows, "invented", tuple(digests.values()))
    )
    embedded = steps(little_city)["embed"]
    assert embedded.state == "outdated" and "1 have a new image or description" in embedded.sentence
    draw(little_city, "S03", 10)
    assert steps(little_city)["embed"].state == "done"


def test_models_that_fit_and_that_do_not(little_city: City, tmp_path: Path) -> None:
    api.train(little_city, "climatology", device="cpu")
    (model,) = saved_models(little_city)
    assert (model.name, model.fit, model.usable, model.validation_crps) == ("climatology", "", True, None)
    found = steps(little_city)
    assert found["train"].state == "done" and found["forecast"].needs == "" == found["surges"].needs
    more = make_city(tmp_path / "more", stations=14)
    (more.path / "models").symlink_to(little_city.path / "models")
    assert saved_models(more)[0].fit == "trained on other stations: 2 of 14 are new to it"
    assert steps(more)["train"].state == "outdated"
    changed = make_city(little_city.path, seed=3)
    assert saved_models(changed)[0].fit == "trained on other data than the city has now"
    other = make_city(little_city.path, unit="GB")
    assert saved_models(other)[0].fit == "made for the unit MB: train it again"
    assert not saved_models(other)[0].usable and steps(other)["forecast"].needs == ""
    (little_city.path / "models" / "climatology" / "config.json").write_text("<b>")
    (damaged,) = saved_models(little_city)
    assert not damaged.usable and "cannot be read" in damaged.fit


def made_in(city: City) -> None:
    """Train a formula, and forecast, measure and search by it, as the Data page does."""
    api.train(city, "climatology", device="cpu")
    out = forecast_file(city.path, "climatology")
    write_forecast(api.forecast(city, "climatology", device="cpu"), out)
    api.benchmark(city, benchmark_file(city.path, "test"), models=["climatology"], seeds=1, device="cpu")
    api.surges(city, city.path / SURGES_FILE, "climatology", device="cpu")


def states(city: City) -> dict[str, str]:
    found = steps(city)
    return {name: found[name].state for name in ("train", "forecast", "benchmark", "surges")}


def test_what_was_made_is_current_until_what_it_was_made_from_changes(little_city: City, tmp_path: Path) -> None:
    before = set(sources(little_city.path))
    made_in(little_city)
    all_done = dict.fromkeys(("train", "forecast", "benchmark", "surges"), "done")
    assert states(little_city) == all_done
    assert steps(little_city)["benchmark"].sentence == "On the test part: Climatology."
    for file in (little_city.path / SURGES_FILE, benchmark_file(little_city.path, "test")):
        assert file in before
    for day, file in enumerate(sorted(little_city.path.rglob("*"))):  # times of change say nothing, in whatever order
        os.utime(file, (1e9 + 86400 * (day % 7), 1e9 + 86400 * (day % 7)))
    shutil.copytree(little_city.path, tmp_path / "copied")
    assert states(City.open(little_city.path)) == states(City.open(tmp_path / "copied")) == all_done
    config = little_city.model_folder("climatology") / CONFIG_FILE
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"weights_sha256": "0" * 64}))
    assert states(little_city) == all_done | {"forecast": "outdated", "surges": "outdated"}
    config.write_text(json.dumps(told))
    changed = write_city(little_city.path, little_city.meta, little_city.stations, little_city.traffic * 2)
    assert states(changed) == dict.fromkeys(all_done, "outdated")


def test_files_from_before_their_sources_were_kept_are_of_unknown_data(little_city: City) -> None:
    made_in(little_city)
    file = benchmark_file(little_city.path, "test")
    document = json.loads(file.read_text())
    for result in document["results"]:
        del result["data"]
    file.write_text(json.dumps(document))
    assert steps(little_city)["benchmark"].sentence == "On the test part: Climatology."  # its key is that of these data
    pd.read_parquet(out := forecast_file(little_city.path, "climatology")).to_parquet(out)
    assert steps(little_city)["forecast"].sentence.endswith("It is not known from which data.")
    changed = write_city(little_city.path, little_city.meta, little_city.stations, little_city.traffic * 2)
    assert steps(changed)["benchmark"].sentence.endswith("It is not known from which data.")


def test_nothing_of_the_shipped_city_is_outdated() -> None:
    found = steps(City.open(demo_city()))
    assert {name for name, step in found.items() if step.state == "outdated" or "not known" in step.sentence} == set()
    assert {name for name, step in found.items() if step.state == "done"} >= {"describe", "embed", "train", "surges"}


@pytest.mark.parametrize("name", ["descriptions.jsonl", "environment.safetensors", "benchmarks/test.json"])
def test_damaged_files_are_told_and_no_error(little_city: City, name: str) -> None:
    file = little_city.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"\xff{}\n{}\n")
    assert set(steps(little_city)) >= {"describe", "embed", "benchmark"}


def test_a_short_history_is_said_before_the_training(tmp_path: Path) -> None:
    found = steps(make_city(tmp_path / "short", days=9))
    assert found["train"].needs == "" and found["benchmark"].needs == "20 days of traffic; there are 9"
    shorter = steps(make_city(tmp_path / "shorter", days=3))
    assert shorter["train"].needs == "5 days of traffic; there are 3"
