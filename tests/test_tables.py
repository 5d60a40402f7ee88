"""Tables as files: one form of time and number, and no cell that a spreadsheet would run."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.errors import UserError
from lecdiff_core.tables import FORMULA_SIGNS, csv_text, defused, write_table

FORMULAS = ["=cmd|'/c calc'!A1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "－1"]


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_texts_are_defused_and_numbers_are_not() -> None:
    table = pd.DataFrame(
        {"station_id": FORMULAS, "-change": [-1.5] * len(FORMULAS), "names": [["A", "=B"]] * len(FORMULAS)}
    )
    head, *rows = read(csv_text(table))
    assert head == ["station_id", "'-change", "names"]
    assert [row[0] for row in rows] == [f"'{text}" for text in FORMULAS]
    assert {(row[1], row[2]) for row in rows} == {("-1.5", "A;'=B")}


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12))
def test_any_text_is_one_cell_is_harmless_and_comes_back(text: str) -> None:
    [_, [cell, last]] = read(csv_text(pd.DataFrame({"name": [text], "last": [1]})))
    assert (cell, last) == (defused(text), "1")
    assert not cell.startswith(FORMULA_SIGNS) and cell.removeprefix("'") == text.removeprefix("'")


def test_times_have_their_offset_and_numbers_their_digits() -> None:
    times = pd.DatetimeIndex(["2024-03-31 00:00", "2024-03-31 03:00", None]).tz_localize("Europe/Rome")
    table = pd.DataFrame(
        {"at": times, "times": [[times[0]], [], [times[1]]], "amount": np.array([0.1234567, 1e-7, np.nan], np.float32)}
    )
    assert csv_text(table) == (
        "at,times,amount\n"
        "2024-03-31 00:00:00+01:00,2024-03-31 00:00:00+01:00,0.1234567\n"
        "2024-03-31 03:00:00+02:00,,1e-07\n"
        ",2024-03-31 03:00:00+02:00,\n"
    )


def test_parquet_keeps_every_value(tmp_path: Path) -> None:
    table = pd.DataFrame({"station_id": FORMULAS})
    write_table(table, tmp_path / "t.parquet", "a table")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    write_table(table, tmp_path / "t.csv", "a table")
    assert (tmp_path / "t.csv").read_bytes().decode() == csv_text(table)
    with pytest.raises(UserError, match=r"cannot write a table to t\.xls: the name must end in \.parquet or \.csv"):
        write_table(table, tmp_path / "t.xls", "a table")
