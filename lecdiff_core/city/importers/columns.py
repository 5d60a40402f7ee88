"""Which column of a table plays which role, recognised by what people call it (columns.toml).

A name that the user gave goes first, then the layout's own, then the lexicon: one candidate is taken, several are left to the
user. Names are compared without case, accents, spaces, underscores and units, after Unicode NFKC.
"""

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from lecdiff_core.city.folder import named

Column = tuple[str, ...]  # the columns that make up one of a role: one, or the day and the time of day
Cells = Callable[[str], list[str]]
BRACKETS = re.compile(r"[(\[{（【][^)\]}）】]*[)\]}）】]?")
DAY = re.compile(r"^\D*\d+\D+\d+\D+\d+\D*$|^\d{8}$")
CLOCK = re.compile(r"^\d{1,2}([:.h]\d{2}([:.m]\d{2}.*)?)?\s*([ap]\.?m\.?|h|uhr)?$", re.IGNORECASE)
GENERAL = 2  # last tiers of station_id, whose names may mean anything
JOINED = "timestamp"
SAME_AS = {"bytes": "traffic"}
NOT_LED = (
    "station_id",
    "timestamp",
    "date",
    "time",
    "traffic",
    "bytes",
)  # roles whose names are not shortened by a noun


@dataclass(frozen=True)
class ColumnRole:
    """What is looked for in a table: a role, and the names of its column, best first.

    given: the names are a user's, and no other will do.  last: names that are taken where nobody would call it so.
    loosely: whether the most general names of a role, such as "id", will do.
    """

    role: str
    names: Sequence[str] = ()
    given: bool = False
    optional: bool = False
    last: Sequence[str] = ()
    loosely: bool = True


@dataclass
class ColumnMatch:
    """The columns of a table by role, and what is wrong with it."""

    columns: dict[str, Column] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@cache
def _lexicon() -> dict[str, list]:
    return tomllib.loads(files("lecdiff_core.city.importers").joinpath("columns.toml").read_text("utf-8"))


@cache
def _tiers(role: str) -> list[set[str]]:
    return [{_joined(_tokens(alias)) for alias in tier} for tier in _lexicon().get(SAME_AS.get(role, role), [])]


@cache
def fold(name: str) -> str:
    """A name without case, accents, marks and unit, so that what people write alike compares alike."""
    return _joined(_without_unit(_tokens(BRACKETS.sub(" ", unicodedata.normalize("NFKC", name)) or name)))


def _tokens(text: str) -> list[str]:
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.findall(r"[^\W_]+", bare.replace("ł", "l").replace("ı", "i"))


def _without_unit(tokens: list[str]) -> list[str]:
    units = _lexicon()["units"]
    while len(tokens) > 1 and tokens[-1] in units:
        tokens = tokens[:-1]
    return tokens


def _joined(tokens: Iterable[str]) -> str:
    return "".join(tokens)


def unit_in(name: str) -> str | None:
    """The unit that a heading says, such as MB of "Traffic (MB)"."""
    lexicon, text = _lexicon(), unicodedata.normalize("NFKC", name)
    for part in (inside.strip("()[]{}（）【】 ") for inside in BRACKETS.findall(text)):
        if " ".join(_tokens(part)) in (*lexicon["units"], *lexicon["rates"]):
            return part
    last = re.split(r"[\W_]+", text.strip())[-1]
    return last if last.casefold() in (*lexicon["units"], *lexicon["rates"]) else None


def is_rate(unit: str) -> bool:
    """Whether a unit is a speed, such as Mbit/s."""
    return " ".join(_tokens(unit)) in _lexicon()["rates"]


def candidates(names: Sequence[str], role: str) -> list[list[str]]:
    """The names that people give to a role's column, by tier."""
    nouns = _lexicon()["nouns"]
    folded = {name: {fold(name)} for name in names}
    if role not in NOT_LED:
        for name in names:
            first, *others = _without_unit(_tokens(BRACKETS.sub(" ", name))) or [""]
            if others and first in nouns:
                folded[name].add(_joined(others))
    return [[name for name in names if folded[name] & tier] for tier in _tiers(role)]


def recognised(cells: Sequence[str], roles_sought: Sequence[ColumnRole]) -> int:
    """How many of the roles that are looked for some cells name."""
    return sum(
        any(_exact(cells, sought)) or (not sought.given and any(_all_candidates(cells, sought.role)))
        for sought in roles_sought
    )


def _all_candidates(names: Sequence[str], role: str) -> list[str]:
    roles = (role, "date", "time") if role == JOINED else (role,)
    return [name for each in roles for tier in candidates(names, each) for name in tier]


def find_columns(
    header: Sequence[str],
    roles_sought: Sequence[ColumnRole],
    cells: Cells,
    shared: Iterable[str] = (),
    option: str = "",
) -> ColumnMatch:
    """The columns of `header` by role.

    cells: gives the first cells of a column, to tell days from times of day.  shared: folded names of columns of the
    other file, of which one goes before others as the id.  option: what goes before a role in `--column`, such as "traffic:".
    """
    match, lacking = ColumnMatch(), list[tuple[ColumnRole, list[str]]]()
    for some in (
        [sought for sought in roles_sought if not sought.optional],
        [sought for sought in roles_sought if sought.optional],
    ):
        pending = []
        for sought in some:
            exact = _exact([name for name in header if (name,) not in match.columns.values()], sought)
            if exact and header.count(exact[0]) > 1:
                match.problems.append(
                    f"there are {header.count(exact[0])} columns named {exact[0]!r}; rename all but one"
                )
            if exact:
                match.columns[sought.role] = (exact[0],)
            elif sought.given:
                lacking.append((sought, []))
            else:
                pending.append(sought)
        for sought in pending:
            used = {name for column in match.columns.values() for name in column}
            likely = _likely([name for name in header if name not in used], sought, cells, set(shared))
            if isinstance(likely, tuple):
                match.columns[sought.role] = likely
            elif not sought.optional:
                lacking.append((sought, likely))
    match.columns = {sought.role: match.columns[sought.role] for sought in roles_sought if sought.role in match.columns}
    match.problems += _problems_of(header, lacking, option)
    return match


def _exact(header: Sequence[str], sought: ColumnRole) -> list[str]:
    """Columns of exactly one of the required_roles names, best first; else, of a user's name, those that differ in form alone."""
    matches = [name for name in sought.names if name in header]
    if not matches and sought.given:
        plain = {_plain(name) for name in sought.names}
        matches = [name for name in header if _plain(name) in plain]
    return matches


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _likely(left: list[str], sought: ColumnRole, cells: Cells, shared: set[str]) -> Column | list[str]:
    """The column that is meant, or the candidates where there is not exactly one."""
    tiers = candidates(left, sought.role)
    if sought.role == "station_id" and not sought.loosely:
        tiers = tiers[:-GENERAL]
    if sought.role == "station_id":
        both = [[name for name in tier if fold(name) in shared] for tier in tiers]
        tiers = both if any(both) else tiers
    first = next((tier for tier in tiers if tier), [])
    likely = _day_and_clock(left, cells) if sought.role == JOINED and not first else first
    if not likely:
        likely = [name for name in sought.last if name in left]
    return (likely[0],) if isinstance(likely, list) and len(likely) == 1 else likely


def _day_and_clock(left: list[str], cells: Cells) -> Column | list[str]:
    """A column of days with one of times of day, or the only one of both; else the candidates."""
    days, clocks = candidates(left, "date")[0], candidates(left, "time")[0]
    if len(days) == 1 and len(clocks) == 1:
        day, clock = cells(days[0]), cells(clocks[0])
        if all(map(DAY.match, day)) and all(map(CLOCK.match, clock)):
            return (days[0], clocks[0])
        whole = [name for name, some in ((days[0], day), (clocks[0], clock)) if some and all(map(_is_whole, some))]
        return whole if len(whole) == 1 else [*days, *clocks]
    return [*days, *clocks]


def _is_whole(cell: str) -> bool:
    return len(re.findall(r"\d+", cell)) > 3 or bool(re.fullmatch(r"\d{9,19}", cell))


def _problems_of(header: Sequence[str], lacking: list[tuple[ColumnRole, list[str]]], option: str) -> list[str]:
    several = [
        f"the columns {named(names, 8)} may each be {role.role}; say which with --column {option}{role.role}={_quoted(names[0])}"
        for role, names in lacking
        if names
    ]
    absent = [sought for sought, names in lacking if not names]
    if not absent:
        return several
    what = "is no column" if len(absent) == 1 else "are no columns"
    missing = " and ".join(
        repr(name) for name in dict.fromkeys((sought.names or [sought.role])[0] for sought in absent)
    )
    say = " ".join(f"--column {option}{sought.role}={_quoted(_close(header, sought))}" for sought in absent)
    it = "which one it is" if len(absent) == 1 else "which they are"
    has = named([name or "(no name)" for name in header], 8)
    return [f"there {what} {missing}; it has {has}; say {it} with {say}", *several]


def _close(header: Sequence[str], sought: ColumnRole) -> str:
    lower = {name.casefold(): name for name in header if name}
    wanted = [name.casefold() for name in (*sought.names, sought.role)]
    close = [near for name in wanted for near in difflib.get_close_matches(name, list(lower), n=1)]
    return lower[close[0]] if close else "NAME"


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.:-]+", name) else f"'{name}'"


def display(column: Column) -> str:
    """A column as messages name it."""
    return " and ".join(column)
