"""Files of others are bounded in size, depth and digits: each is one line to a person, and nothing is allocated for it."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save

from lecdiff_core import api, bounded
from lecdiff_core.bounded import read_bytes, read_json
from lecdiff_core.city.folder import City, read_meta
from lecdiff_core.environment.descriptions.record import read_descriptions
from lecdiff_core.environment.embedding.table import EnvironmentTable, read_environment, write_environment
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.results import read_benchmark
from lecdiff_core.jobs import background
from lecdiff_core.models.checkpoint import load_model, read_config, read_metrics
from lecdiff_core.status import saved_models, steps
from lecdiff_core.surges import read_surges

DEEP, DIGITS = 50_000, "9" * 5000
WILD_JSON = {
    "deep lists": "[" * DEEP + "]" * DEEP,
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep enough": '{"a":' * 100 + "1" + "}" * 100,
    "digits": f'{{"format_version": {DIGITS}}}',
    "number": '{"format_version": 1e999, "results": 1e999}',
    "no object": "[1]",
    "not utf-8": b"\xff\xfe{}",
    "nothing": "",
}
WILD_TOML = {
    "deep lists": f"a = {'[' * 1000}{']' * 1000}",
    "deep tables": "a = " + "{b = " * 1000 + "1" + "}" * 1000,
    "deep names": f"{'a.' * 5000}b = 1",
    "digits": f"a = {DIGITS}",
    "not utf-8": b"\xff",
    "large": "#" * (2**20 + 1),
    "null": b"\0" * 100,
}


def put(file: Path, content: str | bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("content", WILD_TOML.values(), ids=WILD_TOML)
def test_a_wild_city_toml_is_one_line(little_city: City, content: str | bytes) -> None:
    put(little_city.path / "city.toml", content)
    for read in (read_meta, City.open):
        with pytest.raises(UserError, match=r"city\.toml") as told:
            read(little_city.path)
        assert len(str(told.value)) < 1000


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> City:
    from tests.conftest import make_city

    city = make_city(tmp_path_factory.mktemp("bounded") / "little")
    api.train(city, "climatology", device="cpu")
    return city


@pytest.mark.parametrize("content", WILD_JSON.values(), ids=WILD_JSON)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("models/climatology/config.json", lambda city: read_config(city.model_folder("climatology"))),
        ("benchmarks/test.json", lambda city: read_benchmark(city.path / "benchmarks" / "test.json")),
    ],
)
def test_wild_json_is_one_line(trained: City, name: str, read: Callable, content: str | bytes) -> None:
    file = trained.path / name
    before = file.read_bytes() if file.is_file() else None
    put(file, content)
    try:
        with pytest.raises(UserError) as told:
            read(trained)
        assert len(str(told.value)) < 1000
        steps(trained)
    finally:
        file.unlink() if before is None else file.write_bytes(before)


@pytest.mark.parametrize("content", WILD_JSON.values(), ids=WILD_JSON)
def test_wild_metrics_and_jobs_say_nothing(trained: City, content: str | bytes) -> None:
    file = trained.model_folder("climatology") / "metrics.json"
    before = file.read_bytes()
    put(file, content)
    try:
        assert isinstance(read_metrics(file.parent), dict)
        assert [model.name for model in saved_models(trained)] == ["climatology"]
    finally:
        file.write_bytes(before)
    folder = background.new_folder(trained.path)
    for name in ("job.json", "process.json", "progress.json", "outcome.json", "result.json"):
        put(folder / name, content)
    assert background.jobs(trained.path) == []
    put(folder / "job.json", '{"step": "train", "options": [], "asked_at": "2026-01-01T00:00:00Z"}')
    (job,) = background.jobs(trained.path)
    assert job.state == "died" and isinstance(job.result(), dict)
    background.discard(folder)


def test_progress_that_is_no_number_is_none(tmp_path: Path) -> None:
    for wild in ("1e999", "NaN", DIGITS):
        text = f'{{"done": {wild}, "total": 1, "message": "", "seconds_left": {wild}, "at": "2026-01-01T00:00:00Z"}}'
        put(tmp_path / "progress.json", text)
        assert background._read(tmp_path / "progress.json", background.Progress) is None


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((ValueError, OSError)):
        read_bytes(Path("/dev/zero"), 10)


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="larger than 64 MiB"):
        read_json(tmp_path / "large.json")


def change_config(city: City, model: str, **settings: object) -> None:
    file = city.model_folder(model) / "config.json"
    told = json.loads(file.read_text())
    told["settings"] |= settings
    file.write_text(json.dumps(told))


@pytest.fixture
def lec_diff(tmp_path: Path) -> City:
    """A city with an untrained LEC-Diff in it."""
    from lecdiff_core.city.panel import Panel
    from lecdiff_core.models.catalogue import build
    from lecdiff_core.models.checkpoint import FORMAT_VERSION, CheckpointConfig, save_model
    from tests.conftest import make_city

    city = make_city(tmp_path / "little", days=3)
    model = build("lec-diff", Panel.of(city), 0)
    told = CheckpointConfig(
        format_version=FORMAT_VERSION, model="lec-diff", recipe=model.recipe, settings=model.settings(),
        interval="1h", unit="MB", station_ids=list(city.station_ids), encoder=None, data_hash="", seed=0, weights_sha256="",
    )  # fmt: skip
    save_model(city.model_folder("lec-diff"), model, told, {})
    return city


@pytest.mark.parametrize("settings", [
    {"hidden": 20_000}, {"hidden": 8000}, {"denoiser_layers": 1_000_000}, {"recurrent_layers": 60}, {"history_days": 10**9},
    {"stations": 10**9}, {"station_width": 64}, {"steps_per_day": 10**9}, {"environment_width": -1}, {"error_days": 10**12},
    {"memory_days": [1.0] * 100_000}, {"memory_days": [float("nan")]}, {"smoothing_hours": 1e300}, {"denoising_steps": 10**9},
    {"dropout": "much"}, {"decoder": "x"}, {"hidden": None}, {"surprise": 1},
], ids=str)  # fmt: skip
def test_a_model_of_absurd_settings_is_refused_before_it_is_made(lec_diff: City, settings: dict[str, object]) -> None:
    load_model(lec_diff.model_folder("lec-diff"))
    change_config(lec_diff, "lec-diff", **settings)
    with pytest.raises(UserError, match="train") as told:
        load_model(lec_diff.model_folder("lec-diff"))
    assert "\n" not in str(told.value) and len(str(told.value)) < 600


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(lec_diff: City, value: float) -> None:
    folder = lec_diff.model_folder("lec-diff")
    tensors = load_file(folder / "model.safetensors")
    name = sorted(tensors)[0]
    tensors[name] = np.full_like(tensors[name], value)
    weights = save(tensors)
    (folder / "model.safetensors").write_bytes(weights)
    told = json.loads((folder / "config.json").read_text()) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    (folder / "config.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=rf"{name} holds numbers that are not finite"):
        load_model(folder)


def test_a_station_whose_mean_is_unknown_is_no_damage(trained: City) -> None:
    load_model(trained.model_folder("climatology"))  # its table has NaN for stations that were not there


@pytest.mark.parametrize("wild", [
    {"embed_dim": 10**9}, {"embed_dim": 90_000}, {"vision_cfg": {"layers": 10**6}}, {"text_cfg": {"width": float("inf")}},
], ids=str)  # fmt: skip
def test_an_encoder_of_absurd_settings_is_refused_before_it_is_made(tmp_path: Path, wild: dict) -> None:
    from lecdiff_core.assets import assets_folder
    from lecdiff_core.environment.embedding.encoder import Encoder, read_files

    config, weights = read_files(assets_folder() / "encoder")
    told = json.loads(config)
    for name, value in wild.items():
        told["model"][name] = told["model"][name] | value if isinstance(value, dict) else value
    with pytest.raises(UserError):
        Encoder.of((json.dumps(told).encode(), weights), tmp_path)


def test_a_line_longer_than_any_record_is_named(little_city: City) -> None:
    put(little_city.path / "descriptions.jsonl", b'{"text": "' + b"x" * 2**21 + b'"}\n')
    with pytest.raises(UserError, match="row 1: the line is longer"):
        read_descriptions(little_city.path / "descriptions.jsonl")


def test_embeddings_whose_parts_do_not_belong_together_are_damage(little_city: City) -> None:
    rows = np.eye(12, dtype=np.float32)
    for ids, image in ((little_city.station_ids[1:], rows), (little_city.station_ids, rows * np.nan)):
        write_environment(little_city, EnvironmentTable(ids, image, rows, rows, "e", ("",) * 12))
        with pytest.raises(UserError, match="lecdiff embed"):
            read_environment(little_city)


def test_tables_at_the_limits_of_their_types_are_one_line(little_city: City) -> None:
    wild = {
        "date": pa.array([2**31 - 1], pa.date32()),
        "second": pa.array([2**62], pa.timestamp("us", "UTC")),
        "decimal": pa.array([1], pa.decimal256(70, 2)),
    }
    for column in wild.values():
        pq.write_table(pa.table({"timestamp": column, "S00": [1.0]}), little_city.path / "traffic.parquet")
        with pytest.raises(UserError, match=r"traffic\.parquet"):
            City.open(little_city.path)
        for name in ("surges.parquet", "surge_scores.parquet"):
            pq.write_table(pa.table({"start": column}), little_city.path / name)
        with pytest.raises(UserError, match=r"surges\.parquet"):
            read_surges(little_city)


def test_a_table_larger_than_memory_is_refused_by_what_it_says_of_itself(
    little_city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Little:
        total = 1000

    monkeypatch.setattr(bounded.psutil, "virtual_memory", Little)
    with pytest.raises(UserError, match="more than this machine's memory"):
        City.open(little_city.path)
