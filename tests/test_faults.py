"""Wherever a command is cut off, by a full disk or a kill, its folder is wholly old or wholly new, and it can be run again."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lecdiff_core import api, cli
from lecdiff_core.city.folder import City
from lecdiff_core.demo import town
from lecdiff_core.environment.descriptions.record import read_descriptions
from lecdiff_core.environment.search.neighbours import search
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.storage import recover
from lecdiff_core.surges import read_surges
from tests import faults
from tests.conftest import make_city
from tests.faults import Ended, full_disk, killed

MODEL = "adaptive-climatology"
SAMPLED = 3  # of the calls at which a command can be cut off, in the quick tests
IN_PROGRESS = ("embedded.safetensors", "unfinished.safetensors")  # what a stopped step goes on from
COMMANDS = {
    "import": ["import", "{city}", "--traffic={given}/other.csv", "--stations={given}/stations.csv", "--interval=1h", "--unit=GB"],
    "train": ["train", "{city}", f"--model={MODEL}", "--protocol", "--device=cpu"],
    "describe": ["describe", "{city}", "--provider=offline"],
    "embed": ["embed", "{city}", "--encoder={given}/encoder", "--device=cpu"],
    "surges": ["surges", "{city}", f"--model={MODEL}", "--out={city}/found.csv", "--device=cpu"],
    "forecast": ["forecast", "{city}", f"--model={MODEL}", "--out={city}/next.parquet", "--samples=4", "--seed=1", "--device=cpu"],
    "demo": ["demo", "{city}", "--stations=2", "--seed=1"],
}  # fmt: skip


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read: a city with a model, chips, descriptions, embeddings, and other data to import over it."""
    from lecdiff_core.environment.embedding.embed import embed_city
    from tests.environment.little_encoder import coloured, furnish, tiny_encoder

    root = tmp_path_factory.mktemp("faults")
    city = make_city(root / "city", stations=4, days=20, unit="MB")
    furnish(city)
    for shade, station in enumerate(city.station_ids):
        (city.path / "imagery" / "chips" / f"{station}.png").unlink(missing_ok=True)
        coloured("green", shade).resize((64, 64)).save(city.path / "imagery" / "chips" / f"{station}.jpg", "JPEG")
    tiny_encoder(root / "first")
    tiny_encoder(root / "encoder", seed=5)
    embed_city(city, str(root / "first"), "cpu")
    api.train(city, MODEL, device="cpu")
    rows = [
        f"{name},2024-03-{1 + hour // 24:02d}T{hour % 24:02d}:00,{hour % 24 + 1}"
        for name in "xyz"
        for hour in range(72)
    ]
    (root / "other.csv").write_text("station_id,timestamp,traffic\n" + "\n".join(rows) + "\n")
    (root / "stations.csv").write_text("station_id,lon,lat\nx,9.1,45.1\ny,9.2,45.2\nz,9.3,45.3\n")
    return root


@pytest.fixture(autouse=True)
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A town without its imagery, which takes long to paint and comes with the same change."""
    monkeypatch.setattr(town, "LARGEST_PAINTED", 0)


def run(words: list[str]) -> int:
    """The exit status of a command that is run in this process; anything but a status is a bug, and raised."""
    before, sys.argv = sys.argv, ["lecdiff", *words]
    try:
        cli.main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    finally:
        sys.argv = before
    return 0


def words_of(step: str, city: Path, given: Path) -> list[str]:
    return [word.format(city=city, given=given) for word in COMMANDS[step]]


def beginning(step: str, given: Path, place: Path) -> Path:
    """The folder that a command works on, as it is before."""
    city = place / "city"
    if step != "demo":
        shutil.copytree(given / "city", city)
    return city


def said(file: Path) -> bytes:
    """The bytes of a file; of safetensors, whose library writes the header in any order, the same in one order."""
    content = file.read_bytes()
    if file.suffix != ".safetensors":
        return content
    length = int.from_bytes(content[:8], "little")
    return json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True).encode() + content[8 + length :]


def held(city: Path) -> dict[str, str]:
    """What a folder holds that counts: the SHA-256 of each file by name."""
    files = (file for file in city.rglob("*") if file.is_file() and file.name not in IN_PROGRESS)
    return {
        file.relative_to(city).as_posix(): hashlib.sha256(said(file)).hexdigest()
        for file in files
        if not any(part.startswith(".") for part in file.relative_to(city).parts)
    }


def check_opens(step: str, city: Path) -> None:
    """Everything in the folder can be read, and fits together."""
    opened = City.open(city)
    if step in ("train", "forecast", "surges", "embed"):
        assert np.isfinite(Forecaster.load(opened, MODEL, "cpu").forecast(samples=2).samples).all()
        search(opened, "green ground")
        read_surges(opened)
    if step == "describe":
        assert all(one.text for one in read_descriptions(city / "descriptions.jsonl"))


def check(step: str, city: Path, old: dict[str, str], new: dict[str, str]) -> None:
    """Wholly old or wholly new; of descriptions, whose file grows by whole answers, each is there or not; a search may be kept
    before its report is written."""
    for change in [city / ".change", *city.rglob(".change")]:
        recover(change.parent)  # as whoever reads what lies there does
    found = held(city)
    if step == "describe":
        assert {name: found[name] for name in old if name != "descriptions.jsonl"}.items() <= old.items()
    elif step == "surges":
        kept = {name: new[name] for name in new if name != "found.csv"}
        assert found in (old, new, kept)
    else:
        assert found in (old, new), sorted(name for name in found if found[name] not in (old.get(name), new.get(name)))
    if found or step != "demo":
        check_opens(step, city)


def prepared(step: str, given: Path, place: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """What the folder holds before and after, and at how many calls the command can be cut off."""
    city = beginning(step, given, place)
    if step == "describe":
        (city / "descriptions.jsonl").unlink()
    old = held(city) if city.exists() else {}
    with faults.faults(city) as watched:
        assert run(words_of(step, city, given)) == 0
    assert watched.calls > 2
    new = held(city)
    assert old != new
    shutil.rmtree(place)
    return old, new, watched.calls


def begin_again(step: str, given: Path, place: Path) -> Path:
    city = beginning(step, given, place)
    if step == "describe":
        (city / "descriptions.jsonl").unlink()
    return city


def run_again(step: str, city: Path, given: Path, new: dict[str, str]) -> None:
    """The same command once more reaches what it would have reached at once."""
    if step == "demo" and city.exists() and held(city):
        assert held(city) == new
        return
    assert run(words_of(step, city, given)) == 0
    assert held(city) == new


def cut_off(step: str, given: Path, tmp_path: Path, kinds: Sequence[str], most: int) -> None:
    old, new, calls = prepared(step, given, tmp_path / "whole")
    for number in sorted(set(np.linspace(1, calls, min(most, calls)).astype(int).tolist())):
        for kind in kinds:
            place = tmp_path / f"{number}"
            city = begin_again(step, given, place)
            try:
                with faults.faults(city, number, killed if kind == "killed" else full_disk, kind != "one full write"):
                    status = run(words_of(step, city, given))
            except Ended:
                status = 9
            assert status in ((0, 9) if kind == "killed" else (0, 2, 3)), (number, status)
            if city.exists():
                check(step, city, old, new)
            else:
                assert step == "demo"
            run_again(step, city, given, new)
            shutil.rmtree(place)


@pytest.mark.parametrize("step", COMMANDS)
def test_a_command_that_is_cut_off_leaves_the_old_or_the_new(step: str, given: Path, tmp_path: Path) -> None:
    cut_off(step, given, tmp_path, ("full disk", "killed"), SAMPLED)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full disk", "one full write", "killed"])
@pytest.mark.parametrize("step", COMMANDS)
def test_a_command_that_is_cut_off_at_any_call_leaves_the_old_or_the_new(
    step: str, kind: str, given: Path, tmp_path: Path
) -> None:
    cut_off(step, given, tmp_path, (kind,), 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("step", COMMANDS)
def test_a_process_that_ends_hard_leaves_the_old_or_the_new(step: str, given: Path, tmp_path: Path) -> None:
    old, new, calls = prepared(step, given, tmp_path / "whole")
    for number in range(1, calls + 1, max(1, calls // 12)):
        place = tmp_path / f"{number}"
        city = begin_again(step, given, place)
        words = [sys.executable, str(Path(faults.__file__)), str(number), *words_of(step, city, given)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        assert ended.returncode in (0, 9), ended.stderr
        if city.exists():
            check(step, city, old, new)
        run_again(step, city, given, new)
        shutil.rmtree(place)
