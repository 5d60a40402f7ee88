"""`lecdiff site`: files, lines, JSON and how it ends."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from lecdiff_core import cli
from tests.conftest import make_city

COLUMNS = ["station_id", "timestamp", "mean", "q05", "q25", "q50", "q75", "q95"]


def lecdiff(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lecdiff", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_candidates_are_answered_ranked_and_those_left_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    city = make_city(tmp_path / "city", stations=20)
    sites = tmp_path / "sites.csv"
    sites.write_text("site,lon,lat\nnorth,0.016,0.036\n=south,0.015,0.004\nsea,50,4\n")
    out, week = tmp_path / "sites.parquet", tmp_path / "week.csv"
    assert lecdiff(monkeypatch, "site", city.path, "--sites", sites, "--out", out, "--usual-week", week, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    table = pd.read_parquet(out)
    assert list(table) == COLUMNS
    assert table["station_id"].drop_duplicates().tolist() == [site["name"] for site in told["sites"]]
    assert len(table) == 2 * 24
    assert len(pd.read_csv(week)) == 2 * 7 * 24
    assert "'=south" in set(pd.read_csv(week)["station_id"])
    assert list(told["left_out"]) == ["sea"]
    assert told["assumptions"]
    assert {"level", "lookalikes", "neighbours", "basis", "day_total"} <= set(told["sites"][0])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--lon", "50", "--lat", "4"), "nearest station"),
        (("--lon", "0.01", "--lat", "0.01", "--sites", "x.csv"), "leave --lon"),
        (("--sites", "x.csv"), "x.csv cannot be read"),
        ((), "where is the site"),
    ],
)
def test_mistakes_end_with_2_and_one_line(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    city = make_city(tmp_path / "city", stations=8)
    assert lecdiff(monkeypatch, "site", city.path, *words, "--out", tmp_path / "sites.csv") == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert told in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "sites.csv").exists()
