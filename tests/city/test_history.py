"""How much history is needed: one table, told the same everywhere."""

from pathlib import Path

import pandas as pd
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.history import LEAST_DAYS, days_of, lacking, missing_history
from lecdiff_core.city.summary import summarise
from lecdiff_core.status import steps
from tests.conftest import make_city

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("days", "short"), [(4, ["train", "benchmark"]), (5, ["benchmark"]), (19, ["benchmark"]), (20, [])]
)
def test_info_and_the_data_page_say_the_same(tmp_path: Path, days: int, short: list[str]) -> None:
    city = make_city(tmp_path / "city", stations=2, days=days)
    assert days_of(city) == days
    told = [sentence for sentence in summarise(city).missing if sentence.startswith("history")]
    assert told == missing_history(city) and len(told) == len(short)
    for name, sentence in zip(short, told, strict=True):
        assert sentence.endswith(f"it needs {steps(city)[name].needs}") and f"{LEAST_DAYS[name]} days" in sentence


def test_days_are_never_rounded_up_to_what_they_are_not() -> None:
    assert lacking("train", 4.99) == "5 days of traffic; there are 4.9"
    assert lacking("train", 5.0) == ""


@pytest.mark.parametrize("start", ["2024-03-29", "2024-10-25"])
def test_days_are_those_of_the_local_clock(tmp_path: Path, start: str) -> None:
    """Five dates are five days where the clocks change among them."""
    city = make_city(tmp_path / "city", stations=2, days=6)
    first, end = (pd.Timestamp(start, tz="Europe/Rome") + pd.DateOffset(days=days) for days in (0, 5))
    index = pd.date_range(first, end, freq="1h", inclusive="left", name="timestamp")
    traffic = city.traffic.iloc[: len(index)].set_axis(index)
    meta = city.meta.model_copy(update={"timezone": "Europe/Rome"})
    assert days_of(City(city.path, meta, city.stations, traffic, city.digests)) == 5


def test_the_documentation_shows_the_table() -> None:
    told = (ROOT / "docs" / "city-folder.md").read_text("utf-8")
    commands = {name: f"`lecdiff {name}`" for name in LEAST_DAYS} | {
        "zero-shot": "`lecdiff benchmark --part zero-shot`"
    }
    for name, least in LEAST_DAYS.items():
        assert any(commands[name] in line and line.endswith(f"| {least} |") for line in told.splitlines())
