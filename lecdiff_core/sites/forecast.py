"""What places without history would carry: the day from any origin, a usual week, whom they resemble and what they take from whom.

`SiteForecaster` is loaded once and asked many times; `forecast_sites` does both. Nothing is saved: an answer is an estimate from
places alike, not a fact of the city.

Letters: N stations, M sites, H steps of a day, S samples.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lecdiff_core.addresses import AllowedHosts
from lecdiff_core.city.folder import City
from lecdiff_core.city.panel import Panel, metric_positions, usual_distance
from lecdiff_core.city.timeline import moment
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import digest
from lecdiff_core.sites.candidates import Candidate, check_place
from lecdiff_core.sites.catchment import shares_taken
from lecdiff_core.sites.known_days import KnownDays
from lecdiff_core.sites.model import FEWEST_STATIONS, SiteModel
from lecdiff_core.sites.regression import Places, Scale
from lecdiff_core.sites.report import Neighbour, SiteForecasts, SiteReport, summary
from lecdiff_core.sites.rules import Regressed, fitted_kernels
from lecdiff_core.sites.surroundings import (
    Kinds,
    Surroundings,
    View,
    known_in,
    look_at,
    lookalikes,
    read_chip,
    station_rows,
    usual_metres,
)

MOST_KNOWN = 1000  # stations that a site is told from; in a larger network, those nearest to it
ON_TOP_METRES = 10.0
# Far from the network: so many usual distances, and three times the distance that so many of the stations keep.
FAR, FAR_QUANTILE = 10.0, 0.95
SHOWN_NEIGHBOURS = 8
BLOCK = 100  # sites whose samples are made at once


class SiteForecaster:
    """The stations of a city, ready to be asked about places that have no history.

    Examples:
        >>> from lecdiff_core.demo import DEMO_CITY
        >>> from lecdiff_core.sites.candidates import Candidate
        >>> from lecdiff_core.sites.forecast import SiteForecaster
        >>> found = SiteForecaster(DEMO_CITY).forecast([Candidate("A", 0.004, -0.003, text="A stadium beside a car park.")])
        >>> found.day.samples.shape, found.sites[0].basis
        ((100, 1, 48), 'image and text')
    """

    def __init__(self, city: City | Path | str) -> None:
        self.city = City.of(city)
        self.panel = Panel.of(self.city)
        self.table = read_environment(self.city)
        self._models: dict[tuple[Kinds, int, bytes], tuple[SiteModel, View]] = {}
        self._days: dict[bytes, KnownDays] = {}
        self._position_of: dict[tuple[float, float] | None, np.ndarray] = {}

    def forecast(
        self,
        candidates: Sequence[Candidate],
        origin: pd.Timestamp | str | None = None,
        samples: int = 100,
        seed: int = 0,
        chip_metres: float | None = None,
        accept_terms: bool = False,
        allowed: AllowedHosts | None = None,
        report: Report = silent,
    ) -> SiteForecasts:
        """What the candidates would carry.

        Args:
            candidates: M places; each with a chip, words, both, or neither. Without a chip that of the city's imagery is taken.
            origin: start of the day that is forecast; None = the end of the data. Only what lies before it is used.
            samples: S, at least 2.
            seed: of the random numbers.
            chip_metres: metres a side that the candidates' own chips show; None = as the city's.
            accept_terms, allowed: for imagery of others, see `imagery.chips.place_chip`.
            report: called with what is done, how much there is to do, and words.

        Raises:
            UserError: for an origin outside the data, a chip that cannot be read, an empty text; and where no place is left: off
                the Earth, far from every station, or on top of one.
        """
        if samples < 2:
            raise UserError(f"a distribution needs at least 2 samples, not {samples}")
        first, step = self.origin(origin)
        placed, left_out = self._placed(candidates)
        usual = usual_metres(self.city)
        looked = list[Surroundings]()
        for done, site in enumerate(placed):
            report(done, len(placed), f"site {done + 1} of {len(placed)}")
            looked.append(self._look_at(site, usual, chip_metres, accept_terms, allowed))
        days, weeks, reports = self._told(placed, looked, step, samples, seed)
        return self._assembled(placed, days, weeks, reports, first, left_out)

    def surroundings(
        self, candidate: Candidate, accept_terms: bool = False, allowed: AllowedHosts | None = None
    ) -> Surroundings:
        """What is seen and read of a candidate."""
        return self._look_at(candidate, usual_metres(self.city), None, accept_terms, allowed)

    def _look_at(
        self,
        site: Candidate,
        usual: float,
        chip_metres: float | None,
        accept_terms: bool,
        allowed: AllowedHosts | None,
    ) -> Surroundings:
        image = None if site.chip is None else read_chip(site.chip, site.place, chip_metres, usual)
        return look_at(self.city, self.table, image, site.text, site.place, accept_terms, allowed, site.numbers)

    def origin(self, time: pd.Timestamp | str | None) -> tuple[pd.Timestamp, int]:
        """Start of the day that is forecast, None = the end of the data, and the step up to which the panel lies before it."""
        first = self._first(time)
        ahead = self.city.timeline.starting(first, self.panel.steps_per_day)
        return first, min(self.panel.steps, int(self.city.timeline.steps(ahead).min()))

    def _first(self, origin: pd.Timestamp | str | None) -> pd.Timestamp:
        if origin is None:
            return self.city.end
        first = moment(origin, self.city.meta.timezone, "--start")
        index = self.city.traffic.index
        if first != self.city.end and first not in index[self.panel.steps_per_day :]:
            earliest = index[min(self.panel.steps_per_day, len(index) - 1)]
            raise UserError(
                f"no day can start at {first:%Y-%m-%d %H:%M}: choose the start of an interval from {earliest:%Y-%m-%d %H:%M} to "
                f"{self.city.end:%Y-%m-%d %H:%M}"
            )
        return first

    def _placed(self, candidates: Sequence[Candidate]) -> tuple[list[Candidate], dict[str, str]]:
        """Those whose place can be told, and why the others cannot."""
        placed, left_out = list[Candidate](), dict[str, str]()
        for site in candidates:
            try:
                self._check(site)
                placed.append(site)
            except UserError as error:
                left_out[site.name] = str(error).removeprefix(f"{site.name}: ")
        if not placed:
            if not left_out:
                raise UserError("no site is asked for")
            raise UserError("; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3]))
        return placed, left_out

    def _check(self, site: Candidate) -> None:
        """Raise UserError where a site stands where it cannot be told what it carries."""
        check_place(site)
        if not self.city.has_places:
            return
        if site.place is None:
            raise UserError(f"{site.name}: where is it? give its longitude and latitude")
        metres = np.linalg.norm(self._stations - self._position(site), axis=1)
        nearest = int(metres.argmin())
        station = self.panel.station_ids[nearest]
        if metres[nearest] < ON_TOP_METRES:
            raise UserError(
                f"{site.name}: it stands on station {station}, whose own history tells more; ask `lecdiff forecast` of that station"
            )
        if metres[nearest] > self._reach:
            raise UserError(
                f"{site.name}: it is {metres[nearest] / 1000:,.1f} km from the nearest station ({station}); a place can be told "
                f"within {self._reach / 1000:.1f} km of the network, so check lon and lat"
            )

    @cached_property
    def _stations(self) -> np.ndarray:
        return self.panel.positions

    @cached_property
    def usual(self) -> float:
        """Usual distance in metres of nearest stations."""
        return usual_distance(self._stations)

    @cached_property
    def _reach(self) -> float:
        """Metres from the nearest station up to which a place belongs to the network."""
        from scipy.spatial import cKDTree

        alone = (
            cKDTree(self._stations)
            .query(self._stations, k=min(2, len(self._stations)))[0]
            .reshape(len(self._stations), -1)
        )
        return float(max(FAR * self.usual, 3 * np.quantile(alone[:, -1], FAR_QUANTILE)))

    def _position(self, site: Candidate) -> np.ndarray:
        if site.place not in self._position_of:
            points = self.city.stations.geometry
            around = points.x.to_numpy(), points.y.to_numpy()
            self._position_of[site.place] = metric_positions(np.array([site.lon]), np.array([site.lat]), around)[0]
        return self._position_of[site.place]

    def _positions(self, sites: Sequence[Candidate]) -> np.ndarray | None:
        if not self.city.has_places or any(site.place is None for site in sites):
            return None
        return np.stack([self._position(site) for site in sites])

    def _told(
        self, sites: Sequence[Candidate], looked: Sequence[Surroundings], step: int, samples: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, list[SiteReport]]:
        """Samples of the day (S, M, H) and of the week (S, M, 7 H), and the reports; sites told from the same stations together."""
        steps = self.panel.steps_per_day
        days = np.empty((samples, len(sites), steps), np.float32)
        weeks = np.empty((samples, len(sites), 7 * steps), np.float32)
        groups: dict[tuple[Kinds, int], list[int]] = {}
        for index, surroundings in enumerate(looked):
            groups.setdefault((surroundings.kinds, self._anchor(sites[index])), []).append(index)
        reports: dict[int, SiteReport] = {}
        blocks = [
            (kinds, anchor, members[start : start + BLOCK])
            for (kinds, anchor), members in groups.items()
            for start in range(0, len(members), BLOCK)
        ]
        for kinds, anchor, members in blocks:
            chosen = [sites[index] for index in members]
            model, view, notices = self._model(kinds, anchor, step)
            places = Places(
                len(chosen), side_by_side(view, [looked[index] for index in members]), self._positions(chosen)
            )
            names = [site.name for site in chosen]
            days[:, members] = model.sample_day(places, names, samples, seed)
            weeks[:, members] = model.sample_week(places, names, samples, seed)
            for index, site in zip(members, chosen, strict=True):
                seen = replace(looked[index], notices=(*looked[index].notices, *notices))
                reports[index] = self._report(site, seen, model, days[:, index], weeks[:, index])
        return days, weeks, [reports[index] for index in range(len(sites))]

    def model_without(self, kinds: Kinds, station_id: str, step: int) -> tuple[SiteModel, View, list[str]]:
        """What the others say of a station's place, see `_model`."""
        return self._model(kinds, self.panel.station_ids.index(station_id), step, station_id)

    def _model(
        self, kinds: Kinds, anchor: int, step: int, without: str | None = None
    ) -> tuple[SiteModel, View, list[str]]:
        """The known stations as they speak of places of which these kinds are known.

        Args:
            kinds: of embeddings that the places are compared by.
            anchor: row of the station nearest to them, where not all stations can be asked.
            step: what lies before it is known.
            without: a station that is not asked.

        Returns:
            The model, how embeddings become its places' surroundings, and what a reader should know.

        Raises:
            UserError: where fewer than five stations have enough traffic.
        """
        around = self._around(anchor)
        day = self._known_days(around).at(step)
        levelled = np.isfinite(day.level) & (day.level > 0)
        levelled &= np.array([self.panel.station_ids[row] != without for row in around])
        rows = self._rows(around, kinds)
        known = levelled & known_in(rows, len(around)) if kinds else levelled
        notices = list[str]()
        if kinds and known.sum() < FEWEST_STATIONS:
            kinds, known = (), levelled
            notices.append("too few stations have such surroundings, so the stations around alone were asked")
        if known.sum() < FEWEST_STATIONS:
            raise UserError(
                f"{self.city.path}: {int(known.sum())} stations have enough traffic before this time; a place is estimated from at "
                f"least {FEWEST_STATIONS}"
            )
        key = kinds, step, around[known].tobytes()
        if key not in self._models:
            self._models[key] = self._fitted(kinds, around, np.flatnonzero(known), step)
        return *self._models[key], notices

    def _fitted(self, kinds: Kinds, around: np.ndarray, known: np.ndarray, step: int) -> tuple[SiteModel, View]:
        days = self._known_days(around)
        rows = self._rows(around[known], kinds)
        view = View.of(kinds, rows)
        positions = self._stations[around[known]] if self.city.has_places else None
        places = Places(len(known), view.side_by_side(rows) if kinds else None, positions)
        scale = Scale.of(places, self.usual if self.city.has_places else 1.0)
        log_level = np.log(days.at(step).level[known])
        week = days.usual_week(step)[known]
        kernels = fitted_kernels(places, scale, log_level, week.reshape(len(known), -1))
        return SiteModel(days, known, Regressed(kernels, places, float(log_level.var())), step), view

    def _anchor(self, site: Candidate) -> int:
        """Row of the nearest station, whose neighbours a site is told from in a large network; -1 where all stations are asked."""
        if len(self.panel.station_ids) <= MOST_KNOWN or not self.city.has_places:
            return -1
        return int(np.linalg.norm(self._stations - self._position(site), axis=1).argmin())

    def _around(self, anchor: int) -> np.ndarray:
        """Sorted rows of the stations that sites are told from: all, the anchor's nearest, or any where no place is known."""
        count = len(self.panel.station_ids)
        if count <= MOST_KNOWN:
            return np.arange(count)
        if not self.city.has_places:
            return np.sort(np.random.default_rng(0).permutation(count)[:MOST_KNOWN])
        metres = np.linalg.norm(self._stations - self._stations[anchor], axis=1)
        return np.sort(np.argsort(metres, kind="stable")[:MOST_KNOWN])

    def _known_days(self, around: np.ndarray) -> KnownDays:
        key = around.tobytes()
        if key not in self._days:
            self._days[key] = KnownDays(self.panel.select(around))
        return self._days[key]

    def _rows(self, around: np.ndarray, kinds: Kinds) -> dict[str, np.ndarray]:
        if not kinds:
            return {}
        assert self.table is not None
        return station_rows(self.table, tuple(self.panel.station_ids[row] for row in around), kinds)

    def _report(
        self, site: Candidate, seen: Surroundings, model: SiteModel, day: np.ndarray, week: np.ndarray
    ) -> SiteReport:
        """day: (S, H).  week: (S, 7 H)."""
        steps = self.panel.steps_per_day
        weekday = np.median(week[:, : 5 * steps].reshape(len(week), 5, steps).mean(1), axis=0)
        rows = {} if self.table is None else station_rows(self.table, self.panel.station_ids, seen.kinds)
        neighbours, taken = self._neighbours(site, model)
        return SiteReport(
            name=site.name,
            lon=site.lon,
            lat=site.lat,
            basis=seen.basis,
            text=seen.text,
            level=summary(week.mean(1)),
            day_total=summary(day.sum(1)),
            busiest_hour=int(weekday.argmax()) * 24 // steps,
            lookalikes=tuple(lookalikes(seen, rows, self.panel.station_ids)),
            neighbours=neighbours,
            taken=taken,
            notices=seen.notices,
        )

    def _neighbours(self, site: Candidate, model: SiteModel) -> tuple[tuple[Neighbour, ...], float]:
        """The nearest stations before and after, those that lose first, and the mean traffic that they lose together."""
        if site.place is None or not self.city.has_places:
            return (), float("nan")
        here, panel = self._position(site), model.days.panel
        metres = np.linalg.norm(panel.positions - here, axis=1)
        shares = shares_taken(here, panel.positions, self.usual)
        level = np.nan_to_num(model.days.at(model.origin).level)
        order = np.lexsort((metres, -shares))[:SHOWN_NEIGHBOURS]
        around = tuple(
            Neighbour(
                panel.station_ids[row],
                float(metres[row]),
                float(shares[row]),
                float(level[row]),
                float(level[row] * (1 - shares[row])),
            )
            for row in order
        )
        return around, float(shares @ level)

    def _assembled(
        self,
        sites: Sequence[Candidate],
        days: np.ndarray,
        weeks: np.ndarray,
        reports: list[SiteReport],
        first: pd.Timestamp,
        left_out: dict[str, str],
    ) -> SiteForecasts:
        order = sorted(range(len(sites)), key=lambda index: -reports[index].level["q50"])
        names = tuple(sites[index].name for index in order)
        steps = self.panel.steps_per_day
        day_times, week_times = (
            self.city.timeline.starting(start, count) for start, count in ((first, steps), (_monday(first), 7 * steps))
        )
        rows = None if self.table is None else self.table.unified
        source: dict[str, Any] = {"data": self.city.data_hash, "model": "site", "embeddings": digest(rows)}
        source["start"] = day_times[0].isoformat()
        return SiteForecasts(
            Forecast(names, day_times, days[:, order], tuple(left_out), source=source),
            Forecast(names, week_times, weeks[:, order], tuple(left_out), source=source),
            tuple(reports[index] for index in order),
            left_out,
        )


def side_by_side(view: View, looked: Sequence[Surroundings]) -> np.ndarray | None:
    """Surroundings (M, D) of sites in the units of a view; None where it has no kinds."""
    if not view.kinds:
        return None
    return view.side_by_side({kind: np.stack([seen.rows[kind] for seen in looked]) for kind in view.kinds})


def forecast_sites(city: City | Path | str, candidates: Sequence[Candidate], **asked: Any) -> SiteForecasts:
    """`SiteForecaster.forecast` of a city, asked once."""
    return SiteForecaster(city).forecast(candidates, **asked)


def _monday(first: pd.Timestamp) -> pd.Timestamp:
    """The first Monday's midnight not before a time."""
    day = first.normalize() if first == first.normalize() else first.normalize() + pd.Timedelta(days=1)
    return (day + pd.Timedelta(days=-day.weekday() % 7)).normalize()
