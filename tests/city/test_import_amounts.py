"""Amounts are read as they are meant, or refused; none is changed without a word."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.amounts import Amounts
from lecdiff_core.city.importers.columns import ColumnRole
from lecdiff_core.city.importers.forms import open_tables
from lecdiff_core.city.importers.importing import ImportReport, import_city
from lecdiff_core.city.importers.tables import read_batches
from lecdiff_core.errors import UserError

HOURS = 96
RNG = np.random.default_rng(3)
AMOUNTS = np.round(RNG.gamma(2, 600, HOURS), 2)


def table(cells: list[str], heading: str = "traffic", mark: str = ";") -> str:
    rows = [f"a{mark}2024-03-{4 + hour // 24:02}T{hour % 24:02}:00{mark}{cell}" for hour, cell in enumerate(cells)]
    return "\n".join([f"station_id{mark}timestamp{mark}{heading}", *rows]) + "\n"


def read(folder: Path, text: str, **options: object) -> tuple[list[float], ImportReport]:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    report = import_city(folder / "city", folder / "t.csv", interval="1h", coordinates="none", **options)
    return City.open(folder / "city").traffic["a"].tolist(), report


def swapped(text: str) -> str:
    return text.translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(
    "written",
    [
        lambda amount: f"{amount:.2f}",
        lambda amount: f"{amount:,.2f}",
        lambda amount: swapped(f"{amount:.2f}"),
        lambda amount: swapped(f"{amount:,.2f}"),
        lambda amount: f"{amount:,.2f}".replace(",", "\u00a0").replace(".", ","),
        lambda amount: f"{amount:,.2f}".replace(",", "\u2009"),
        lambda amount: f"{amount:,.2f}".replace(",", "'"),
        lambda amount: f"{amount:.6e}",
    ],
)
def test_marks_of_decimals_and_thousands(tmp_path: Path, written) -> None:
    values, report = read(tmp_path, table([written(amount) for amount in AMOUNTS]))
    np.testing.assert_allclose(values, AMOUNTS, rtol=1e-6)
    assert not report.notices


@pytest.mark.parametrize("mark", [".", ","])
def test_three_digits_behind_every_mark_are_thousands(tmp_path: Path, mark: str) -> None:
    whole = np.round(AMOUNTS)
    values, report = read(tmp_path, table([f"{amount:,.0f}".replace(",", mark) for amount in whole]))
    assert values == whole.tolist() and f"{mark!r} is read as parting thousands" in report.notices[0]
    cells = ["987", f"1{mark}662", "12"]
    with pytest.raises(UserError, match=rf"row 2, column traffic: '1\{mark}662' may be thousands or have decimals"):
        read(tmp_path, table(cells))
    assert read(tmp_path, table(cells), decimal=mark)[0] == pytest.approx([987, 1.662, 12])
    assert read(tmp_path, table(cells), decimal="," if mark == "." else ".")[0] == [987, 1662, 12]
    assert read(tmp_path, table([*cells, "1234"]))[0] == pytest.approx([987, 1.662, 12, 1234])


def test_a_point_and_a_comma_for_decimals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"row 1, column traffic: '1\.5' and .*row 3, column traffic: '1,5' mark decimals differently"
    ):
        read(tmp_path, table(["1.5", "2", "1,5"]))
    with pytest.raises(UserError, match="'1,5' is not a number, where a point marks decimals"):
        read(tmp_path, table(["1.5", "2", "1,5"]), decimal=".")


def numbers(text: str) -> list[float]:
    """The cells of a table's traffic as an import reads them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "t.csv"
        file.write_text(text, encoding="utf-8")
        (opened,) = open_tables(file, Path(folder), [ColumnRole("traffic")])
        columns = {"traffic": ("traffic",)}
        amounts = Amounts([(opened, columns)])
        return [value for batch in read_batches(opened, columns) for value in amounts.read(batch, "traffic").tolist()]


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1e9).map(lambda amount: round(amount, 4)), min_size=1, max_size=30))
def test_what_is_read_with_a_comma_is_what_is_read_with_a_point(amounts: list[float]) -> None:
    texts = [f"{amount:.4f}" for amount in amounts]
    assert numbers(table(texts)) == numbers(table([swapped(text) for text in texts])) == [float(text) for text in texts]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("12 MB", "'12 MB' has a unit in the cell; give the number alone"),
        ("12%", "'12%' has a percent sign in the cell"),
        ("1 23", "'1 23' is not a number; correct it, or say with --na '1 23'"),
        ("TRUE", "'TRUE' is not a number"),
        ("-999", "the value is negative (-999)"),
        ("1e33", "the value is beyond all measure (1e+33)"),
        ("-inf", "the value is infinite"),
    ],
)
def test_cells_that_are_no_amounts(tmp_path: Path, cell: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, table(["1", cell, "3"]))
    assert f"row 2, column traffic: {told}" in str(error.value)


def test_texts_that_mean_a_missing_value(tmp_path: Path) -> None:
    cells = ["1", "N/V", "–", "#NV", "#N/A", "null", "NIL", "-", "n.a.", "2.5", "2.5"]
    assert np.isnan(read(tmp_path, table(cells))[0]).sum() == len(cells) - 3
    values, _ = read(tmp_path, table(["1", "off", "-999", "3", "4"]), na=["OFF", "-999"])
    assert np.isnan(values).tolist() == [False, True, True, False, False]


def test_a_sum_that_lacks_a_part_is_a_gap(tmp_path: Path) -> None:
    sectors = [table([f"{amount:.2f}" for amount in AMOUNTS]), table([f"{amount:.2f}" for amount in AMOUNTS[::-1]])]
    second = sectors[1].splitlines()[1:]
    second[4] = second[4].rpartition(";")[0] + ";"  # empty
    del second[40]  # not there
    values, report = read(tmp_path, sectors[0] + "\n".join(second) + "\n", on_duplicate="sum")
    expected = AMOUNTS + AMOUNTS[::-1]
    expected[[4, 40]] = np.nan
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert report.notices == ["2 sums of a station and time lack a part and are missing"]


def test_rows_that_are_there_twice_now_and_then_lack_no_part(tmp_path: Path) -> None:
    text = table([f"{amount:.2f}" for amount in AMOUNTS])
    values, report = read(tmp_path, text + text.splitlines()[5] + "\n", on_duplicate="sum")
    assert values[4] == pytest.approx(2 * AMOUNTS[4]) and not np.isnan(values).any() and report.duplicates == 1


@pytest.mark.parametrize(
    ("cells", "heading", "told"),
    [
        (
            np.cumsum(AMOUNTS),
            "traffic",
            "looks like a running counter: of 1 stations of 1 it rises in 100% of all steps",
        ),
        (np.cumsum(AMOUNTS) % 40_000, "traffic", "looks like a running counter"),
        (AMOUNTS, "Traffic (Mbit/s)", "'Traffic (Mbit/s)' is a rate, Mbit/s, and its values are summed"),
        (np.append(AMOUNTS[:-1], 9e15), "traffic", "row 96: 9e+15 is more than a million times the middle value"),
        (
            np.append(65535, AMOUNTS[1:]),
            "traffic",
            "row 1: 65535, which 1 readings have, often stands for a missing value",
        ),
        (np.full(HOURS, 65535), "traffic", "every value is 65535"),
        (AMOUNTS, "Traffic (GB)", "'Traffic (GB)' says GB, --unit says MB"),
    ],
)
def test_what_has_no_sense_is_told(tmp_path: Path, cells: np.ndarray, heading: str, told: str) -> None:
    _, report = read(tmp_path, table([f"{cell:.2f}" for cell in cells], heading), unit="MB")
    assert any(told in notice for notice in report.notices)
