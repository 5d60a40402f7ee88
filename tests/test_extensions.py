"""What an installed package brings is known to the command line, and says so where it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lecdiff_core.city.folder import City

LAYOUT = """
from lecdiff_core.city.importers import importing, long

def register():
    importing.register("ours", long)

def broken():
    raise RuntimeError("no licence")
"""
MODEL = """
from lecdiff_core.models import catalogue
from lecdiff_core.models.yardsticks import AdaptiveClimatology

def register():
    def build(panel):
        return AdaptiveClimatology(panel.steps_per_day)

    catalogue.register("drift", build, lambda settings: AdaptiveClimatology(**settings))
"""


def install(folder: Path, code: str, group: str, function: str = "register") -> None:
    """A package as pip leaves it: a module, and metadata that names its entry point."""
    (folder / "ours.py").write_text(code)
    metadata = folder / "ours-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[lecdiff.{group}]\nours = ours:{function}\n")


def lecdiff(packages: Path, *words: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", "from lecdiff_core.cli import main; main()", *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.fixture
def traffic(tmp_path: Path) -> Path:
    file = tmp_path / "traffic.csv"
    rows = [f"a,2024-01-{day:02}T{hour:02}:00Z,{hour}" for day in range(1, 4) for hour in range(24)]
    file.write_text("station_id,timestamp,traffic\n" + "\n".join(rows) + "\n")
    return file


def test_a_layout_of_an_installed_package_is_imported_with(tmp_path: Path, traffic: Path) -> None:
    install(tmp_path, LAYOUT, "layouts")
    words = [
        "import",
        str(tmp_path / "city"),
        "--traffic",
        str(traffic),
        "--layout",
        "ours",
        "--coordinates",
        "none",
        "--interval",
        "1h",
    ]
    ended = lecdiff(tmp_path, *words, "--json")
    assert ended.returncode == 0, ended.stderr
    assert City.open(tmp_path / "city").station_ids == ("a",)


def test_a_package_that_fails_is_named(tmp_path: Path, traffic: Path) -> None:
    install(tmp_path, LAYOUT, "layouts", "broken")
    ended = lecdiff(tmp_path, "import", str(tmp_path / "city"), "--traffic", str(traffic))
    assert ended.returncode == 2
    assert "the package ours" in ended.stderr and "no licence" in ended.stderr and "Traceback" not in ended.stderr


def test_a_model_of_an_installed_package_is_trained_and_forecast_with(tmp_path: Path, little_city: City) -> None:
    install(tmp_path, MODEL, "models")
    trained = lecdiff(tmp_path, "train", str(little_city.path), "--model", "drift", "--json")
    assert trained.returncode == 0, trained.stderr
    out = tmp_path / "forecast.csv"
    ended = lecdiff(tmp_path, "forecast", str(little_city.path), "--model", "drift", "--out", str(out), "--json")
    assert ended.returncode == 0, ended.stderr
    assert out.is_file()
