"""What is said of sites beside their samples, for people, pages and files."""

from dataclasses import dataclass, field

import numpy as np

from lecdiff_core.city.folder import named
from lecdiff_core.evaluation.metrics import sample_quantiles
from lecdiff_core.forecast import QUANTILES, Forecast
from lecdiff_core.sites.catchment import ASSUMPTION

ASSUMPTIONS = (
    "an estimate from stations in like surroundings and from those around, none of them this place: its spread is how wrong the "
    "same estimate is for stations whose traffic is known",
    "the site is used as the network's stations are: same technology, bands and prices",
    ASSUMPTION,
)


@dataclass(frozen=True)
class Neighbour:
    """A station near a site. share: of its ground that the site takes.  before, after: mean traffic an interval, city's unit."""

    station_id: str
    distance_m: float
    share: float
    before: float
    after: float


@dataclass(frozen=True)
class SiteReport:
    """What is said of one site beside its samples; amounts are in the city's unit an interval.

    level: mean of a usual week: `mean` and its quantiles.  day_total: of the 24 hours from the origin.  busiest_hour: hour of day
    in which the median of a usual weekday is highest.  basis: what is known of its surroundings.  taken: mean traffic that it would
    take from its neighbours, NaN where no place is known.
    """

    name: str
    lon: float | None
    lat: float | None
    basis: str
    text: str
    level: dict[str, float]
    day_total: dict[str, float]
    busiest_hour: int
    lookalikes: tuple[tuple[str, float], ...]
    neighbours: tuple[Neighbour, ...]
    taken: float
    notices: tuple[str, ...]


@dataclass(frozen=True)
class SiteForecasts:
    """Samples of M sites that belong together, and a report on each, the highest load first.

    day: the 24 hours from the origin.  week: a usual week from a Monday on.  left_out: reason by site.
    """

    day: Forecast
    week: Forecast
    sites: tuple[SiteReport, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ASSUMPTIONS


def summary(values: np.ndarray) -> dict[str, float]:
    """Mean and quantiles of samples (S,)."""
    quantiles = sample_quantiles(values, list(QUANTILES.values()))
    return {"mean": float(values.mean())} | dict(zip(QUANTILES, map(float, quantiles), strict=True))


def site_lines(answers: SiteForecasts, unit: str, interval: str) -> list[str]:
    """What a person reads of the sites, a line each."""
    amount = f"{unit or 'units'} every {interval}"
    lines = []
    for report in answers.sites:
        level = report.level
        taken = "" if np.isnan(report.taken) else f"; would take {report.taken:,.4g} from its neighbours"
        alike = named([name for name, _ in report.lookalikes], 3)
        lines.append(
            f"{report.name}: {level['q50']:,.4g} {amount} (90 %: {level['q05']:,.4g} to {level['q95']:,.4g}), busiest at "
            f"{report.busiest_hour:02d}:00{taken}; told from {_basis(report)}{f', like {alike}' if alike else ''}"
        )
    return lines


def _basis(report: SiteReport) -> str:
    if report.basis == "nothing":
        return "the stations around alone" if report.neighbours else "the network's mean alone"
    return f"its surroundings ({report.basis}){' and the stations around' if report.neighbours else ''}"
