"""What is looked for in the files of an import: the roles of its layout and of stations, and what a user said of their columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lecdiff_core.city.importers.columns import JOINED, ColumnMatch, ColumnRole, candidates, find_columns
from lecdiff_core.city.importers.forms import Table
from lecdiff_core.errors import UserError

# What publishers call the columns of a stations file, best first.
PLACES: Mapping[str, Sequence[str]] = {
    "station_id": ["station_id", "BS", "cellId", "square"],
    "lon": ["lon", "Lon", "longitude"],
    "lat": ["lat", "Lat", "latitude"],
    "name": ["name"],
    "capacity": ["capacity"],
}
OPTIONAL_OF_STATIONS = ("name", "capacity")
DAY_AND_CLOCK = ("date", "time")
TRAFFIC, STATIONS = "traffic", "stations"
Names = str | Sequence[str]


@dataclass
class ColumnOptions:
    """What a user said of columns: for the traffic, for the stations, and for whichever has such a column."""

    traffic: dict[str, list[str]] = field(default_factory=dict)
    stations: dict[str, list[str]] = field(default_factory=dict)
    either: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Mapping[str, Names], layout: str, own: Mapping[str, str]) -> "ColumnOptions":
        """Read ROLE, traffic:ROLE and stations:ROLE → name or names. Raises UserError for a role that there is not."""
        asked, of_traffic = cls(), [*own, *(DAY_AND_CLOCK if JOINED in own else ())]
        for key, names in columns.items():
            which, colon, role = key.rpartition(":")
            known = {TRAFFIC: of_traffic, STATIONS: list(PLACES), "": list(dict.fromkeys([*own, *PLACES, *of_traffic]))}
            if (colon and which not in (TRAFFIC, STATIONS)) or role not in known[which]:
                listed = known.get(which) or known[""]
                shown = names if isinstance(names, str) else names[0]
                of = "the stations have" if which == STATIONS else f"layout {layout} has"
                raise UserError(f"--column {key}={shown}: {of} the roles {', '.join(listed)}")
            target = {TRAFFIC: asked.traffic, STATIONS: asked.stations, "": asked.either}[which]
            target[role] = [names] if isinstance(names, str) else list(names)
        return asked

    def split(
        self, header: Sequence[str], of_stations: Sequence[str] | None, own: Mapping[str, str]
    ) -> "ColumnOptions":
        """The same with each of `either` given to the file that has the column, or to all that have the role where none has."""
        traffic, stations = dict(self.traffic), dict(self.stations)
        for role, names in self.either.items():
            has = {
                TRAFFIC: (role in own or role in DAY_AND_CLOCK) and any(name in header for name in names),
                STATIONS: role in PLACES and any(name in (of_stations or ()) for name in names),
            }
            if has[TRAFFIC] or not has[STATIONS]:
                traffic.setdefault(role, names)
            if of_stations is not None and role in PLACES and (has[STATIONS] or not has[TRAFFIC]):
                stations.setdefault(role, names)
        return ColumnOptions(traffic, stations)


def of_traffic(
    layout_columns: Mapping[str, str], asked: ColumnOptions, optional: Sequence[str], last: Sequence[str]
) -> list[ColumnRole]:
    """What is looked for in the traffic."""
    roles_sought = []
    for role, name in layout_columns.items():
        said = asked.traffic.get(role) or asked.either.get(role)
        roles_sought.append(
            ColumnRole(
                role,
                said or [name],
                bool(said),
                role in optional and not said,
                last if role == JOINED else (),
                role not in optional,
            )
        )
    apart = {role: asked.traffic.get(role) or asked.either.get(role) for role in DAY_AND_CLOCK}
    if JOINED in layout_columns and any(apart.values()):
        roles_sought = [sought for sought in roles_sought if sought.role != JOINED]
        roles_sought += [ColumnRole(role, said or (), bool(said)) for role, said in apart.items()]
    return roles_sought


def of_stations(asked: ColumnOptions) -> list[ColumnRole]:
    """What is looked for in a file of stations."""
    said = {role: asked.stations.get(role) or asked.either.get(role) for role in PLACES}
    return [
        ColumnRole(role, names or PLACES[role], bool(names), role in OPTIONAL_OF_STATIONS and not names)
        for role, names in said.items()
    ]


def relaxed(roles_sought: Sequence[ColumnRole]) -> list[ColumnRole]:
    """The same roles, none of them required: for finding the header of a file that is not open yet."""
    return [replace(sought, given=False) for sought in roles_sought]


def find_in_tables(tables: Sequence[Table], roles_sought: Sequence[ColumnRole], shared: set[str]) -> list[ColumnMatch]:
    """The columns of tables that are read as one: what is optional is in all of them or in none."""
    matches: list[ColumnMatch] = []
    for table in tables:
        one = find_columns(table.columns, roles_sought, table.cells, shared, f"{TRAFFIC}:")
        if all(role in one.columns for role in DAY_AND_CLOCK):
            one.columns[JOINED] = (*one.columns.pop("date"), *one.columns.pop("time"))
        if not matches:
            roles_sought = [replace(w, optional=False) for w in roles_sought if not w.optional or w.role in one.columns]
        matches.append(one)
    return matches


def names_stations(tables: Sequence[Table], sought: ColumnRole) -> bool:
    """Whether any table has a column that may name its stations."""
    return any(
        any(name in table.columns for name in sought.names) or any(candidates(table.columns, sought.role))
        for table in tables
    )
