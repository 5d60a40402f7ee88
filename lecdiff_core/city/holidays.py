"""Public holidays of a country, which models treat like Sundays: from the `holidays` library, by ISO 3166 codes."""

from datetime import date

from lecdiff_core.city.folder import closest, named
from lecdiff_core.errors import UserError

YEARS_AHEAD = 2  # beyond the data, as forecasts reach ahead


def countries() -> list[str]:
    """ISO codes of the countries whose holidays are known."""
    import holidays

    return sorted(holidays.list_supported_countries())


def check_country(code: str) -> tuple[str, str | None]:
    """Country and subdivision of a code such as "IT" or "DE-BY". Raises UserError with the nearest codes where there is none."""
    import holidays

    country, _, part = code.strip().upper().partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        near = closest(country, sorted(known)) or ["DE", "IT", "CN"]
        raise UserError(f"--country {code}: no holidays are known of it; give an ISO code such as {', '.join(near)}")
    if part and part not in known[country]:
        parts = ", ".join(f"{country}-{name}" for name in closest(part, known[country]) or known[country][:3])
        raise UserError(
            f"--country {code}: {country} has no such part; "
            + (f"its parts are {named(known[country], 20)}, given as {parts}" if known[country] else f"give {country}")
        )
    return country, part or None


def holidays_of(code: str, first: date, last: date) -> list[date]:
    """The public holidays of a country, or of a part of it, from the year of `first` to two years after that of `last`.

    >>> from datetime import date
    >>> days = holidays_of("IT", date(2013, 11, 1), date(2013, 12, 1))
    >>> days[0], date(2013, 11, 1) in days, days[-1].year
    (datetime.date(2013, 1, 1), True, 2015)
    """
    import holidays

    country, part = check_country(code)
    years = range(first.year, last.year + YEARS_AHEAD + 1)
    return sorted(holidays.country_holidays(country, subdiv=part, years=years))
