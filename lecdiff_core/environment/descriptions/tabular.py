"""Descriptions from a table of surroundings: what is counted around a station, in words, held against the whole city.

Only what the table says is said, and only of columns that count (points of interest) or are shares from 0 to 1 (land use): the
numbers of an embedding mean nothing in words. No image is needed, and none is judged, so such a text is not refined.
"""

import numpy as np

from lecdiff_core.environment.station_table import StationTable
from lecdiff_core.errors import UserError

TABLE_MODEL = "table-counts-1"

MANY = 0.8  # share of the stations that have less, from which on there is unusually much here
COMMON = 0.5  # share of the stations that have any of it, from which on its absence is worth a sentence
MOST_NAMED = 3  # columns a sentence
LONGEST_NAME = 60  # letters of a column's name
DENSITIES = (
    (0.9, "Very much is counted here"),
    (0.7, "Much is counted here"),
    (0.3, "About as much is counted here as elsewhere in the city"),
    (0.0, "Little is counted here"),
)


def describe_table(table: StationTable) -> dict[str, list[str]]:
    """Sentences on each station of the table, by its id.

    How much there is in all, what there is unusually much of, what there is most of, and what common things are absent, each
    against the city's own stations. Raises UserError where no column is a count or a share.

    >>> table = StationTable(("A", "B"), ("shops", "schools"), np.array([[9.0, 1.0], [2.0, 0.0]]))
    >>> describe_table(table)["A"][0]
    'Very much is counted here: 10 in all, more than at 1 of the other 1 stations.'
    """
    counted = table.counted
    shares = ((table.values >= 0) & (table.values <= 1)).all(0) & (np.ptp(table.values, axis=0) > 0) & ~counted
    if not (counted | shares).any():
        raise UserError(
            "the table has no column of counts or of shares from 0 to 1, so there is nothing to say in words; "
            "embed it with `lecdiff embed --from`"
        )
    names = [_plain(name) for name in table.columns]
    less = np.stack([_fewer(column) for column in table.values.T], axis=1)
    described = {}
    for row, station in enumerate(table.station_ids):
        values = table.values[row]
        sentences = [_in_all(table, counted, row)] if counted.any() else []
        sentences += _unusual(values, less[row], counted, shares, names)
        sentences += _most(values, counted, names)
        sentences += _absent(table, counted | shares, row, names)
        described[station] = sentences or ["Nothing that the table counts stands out here."]
    return described


def _plain(name: str) -> str:
    """A column's name as words of a sentence."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name.replace("_", " "))
    return " ".join(printable.split())[:LONGEST_NAME].strip(" .!?")


def _fewer(column: np.ndarray) -> np.ndarray:
    """(R,) share of the other stations that have less than each."""
    return (column[:, None] > column).sum(1) / (len(column) - 1)


def _in_all(table: StationTable, counted: np.ndarray, row: int) -> str:
    totals = table.values[:, counted].sum(1)
    fewer, others = int((totals < totals[row]).sum()), len(totals) - 1
    if totals[row] == 0:
        return "Nothing is counted here."
    words = next(words for least, words in DENSITIES if fewer / others >= least)
    return f"{words}: {totals[row]:.0f} in all, more than at {fewer} of the other {others} stations."


def _unusual(
    values: np.ndarray, less: np.ndarray, counted: np.ndarray, shares: np.ndarray, names: list[str]
) -> list[str]:
    """What there is more of than at most stations, the most unusual first."""
    order = sorted(np.flatnonzero((counted | shares) & (values > 0) & (less >= MANY)), key=lambda one: -less[one])
    amounts = [f"{names[one]} ({_amount(values[one], bool(counted[one]))})" for one in order[:MOST_NAMED]]
    return [f"More than at most stations there is of {_listed(amounts)}."] if amounts else []


def _most(values: np.ndarray, counted: np.ndarray, names: list[str]) -> list[str]:
    order = sorted(np.flatnonzero(counted & (values > 0)), key=lambda one: -values[one])
    amounts = [f"{names[one]} ({_amount(values[one], True)})" for one in order[:MOST_NAMED]]
    return [f"Most of what is counted here is {_listed(amounts)}."] if amounts else []


def _absent(table: StationTable, worded: np.ndarray, row: int, names: list[str]) -> list[str]:
    """What most stations have and this one has not."""
    common = (table.values > 0).mean(0)
    missing = np.flatnonzero(worded & (table.values[row] == 0) & (common >= COMMON))
    order = sorted(missing, key=lambda one: -common[one])[:MOST_NAMED]
    return [f"None here, though common in the city: {_listed([names[one] for one in order])}."] if order else []


def _amount(value: float, counted: bool) -> str:
    return f"{value:.0f}" if counted else f"{100 * value:.0f} %"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
