"""Holidays of a country: over the data and two years more, by code, or refused with the nearest codes."""

from datetime import date

import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.holidays import holidays_of
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.errors import UserError

TRAFFIC = "station_id,timestamp,traffic\na,2013-11-01 00:00,1\na,2013-11-01 01:00,2\n"


def test_a_part_of_a_country_has_its_own() -> None:
    bavaria, germany = (set(holidays_of(code, date(2024, 1, 1), date(2024, 1, 2))) for code in ("de-by", "DE"))
    assert date(2024, 1, 6) in bavaria - germany and germany <= bavaria
    assert max(germany).year == 2026


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("Italy", "--country Italy: no holidays are known of it"),
        ("DE-XX", "--country DE-XX: DE has no such part"),
        ("", "--country"),
    ],
)
def test_an_unknown_code_is_refused(code: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        holidays_of(code, date(2024, 1, 1), date(2024, 1, 2))
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_an_import_writes_them_into_the_city(tmp_path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(TRAFFIC)
    import_city(tmp_path / "city", file, interval="1h", timezone="Europe/Rome", coordinates="none", country="IT")
    days = City.open(tmp_path / "city").meta.holidays
    assert date(2013, 11, 1) in days and date(2015, 12, 25) in days
    with pytest.raises(UserError, match="--country XX"):
        import_city(tmp_path / "other", file, interval="1h", coordinates="none", country="XX")
    assert not (tmp_path / "other").exists()
