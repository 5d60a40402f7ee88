"""Degrees as people write them."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.city.importers.degrees import plain
from lecdiff_core.city.importers.tables import Batch
from lecdiff_core.errors import UserError


def batch_of(lon: list[str | None], lat: list[str | None]) -> Batch:
    data = pa.RecordBatch.from_arrays([pa.array(lon, pa.string()), pa.array(lat, pa.string())], names=["lon", "lat"])
    return Batch(Path("s.csv"), 0, {"lon": "Länge", "lat": "Breite"}, data, 1.0)  # type: ignore[arg-type]


def read(lon: str, lat: str) -> tuple[str, str]:
    batch = batch_of([lon], [lat])
    return tuple(plain(batch, role).data.column(role)[0].as_py() for role in ("lon", "lat"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("lon", "lat"),
    [
        ("9°11'24\"E", "45°27'36\"N"),
        ("9° 11′ 24″ E", "45° 27′ 36″ N"),
        ("E 9°11'24.0''", "N45°27'36.0''"),
        ("9º11.4'E", "45º27.6' N"),
        ("9 11 24 e", "45 27 36 n"),
        ("9:11:24", "45:27:36"),
        ("9°11,4'", "45°27,6'"),
        ("9.19E", "45.46 N"),
        ("9.19°", "45.46°"),
        ("东经9°11′24″", "北纬45°27′36″"),
    ],
)
def test_the_forms_that_people_write(lon: str, lat: str) -> None:
    assert tuple(map(float, read(lon, lat))) == (pytest.approx(9.19), pytest.approx(45.46))


def test_south_and_west_are_negative() -> None:
    assert tuple(map(float, read("58°30'W", "34°36'S"))) == (-58.5, pytest.approx(-34.6))
    assert read("58.5W", "-34.6°") == ("-58.5", "-34.6")
    assert tuple(map(float, read("0°30'W", "-0°30'"))) == (-0.5, -0.5)


@pytest.mark.parametrize("text", ["9,19", "9.19", "-9.19", "1e1", "9.19E1", "1 234,5", "", "Milan", "NE", "N"])
def test_what_is_a_number_or_none_at_all_is_left(text: str) -> None:
    assert read(text, "45°N") == (text, "45")


def test_a_decimal_comma_is_left_to_whoever_reads_numbers() -> None:
    assert read("9,19E", "45,46N") == ("9,19", "45,46")


@pytest.mark.parametrize("lat", ["45°72'N", "45°27'61\"N", "-45°27'S", "N45°27'N", "45°27.5'30\"N"])
def test_what_contradicts_itself_is_left_to_be_refused(lat: str) -> None:
    assert read("9°E", lat)[1] == lat


def test_a_letter_of_the_other_axis_is_refused_by_its_row() -> None:
    with pytest.raises(
        UserError, match=r"s.csv, row 2, column Länge: '45°N' is no longitude; lon and lat look swapped"
    ):
        plain(batch_of(["9°E", "45°N"], ["45°N", "45°N"]), "lon")


def test_empty_cells_stay_empty() -> None:
    assert plain(batch_of(["9°E", None], [None, None]), "lon").data.column("lon").to_pylist() == ["9", None]


@given(st.lists(st.text() | st.text("0123456789°'″NSEW., -+"), min_size=1, max_size=5))
def test_any_text_is_read_left_or_refused(texts: list[str]) -> None:
    try:
        data = plain(batch_of(list(texts), list(texts)), "lat").data
    except UserError:
        return
    assert len(data) == len(texts)
