"""One satellite chip a station, `imagery/chips/ID.jpg`: from ArcGIS World Imagery, any tile server, or a GeoTIFF.

Every chip that is made has a line in `imagery/chips.jsonl` that says what it was made from; a chip with the same recipe
is kept, and one that was not made here is somebody's own and never touched. A run that is cut off resumes where it was.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w
from mercantile import Tile
from PIL import Image
from pydantic import BaseModel, ConfigDict

from lecdiff_core.addresses import AllowedHosts, check_template, check_url, host_of, refused
from lecdiff_core.city.folder import City, named, read_meta
from lecdiff_core.city.layout import (
    CHIP_RECORDS_FILE,
    CHIP_SUFFIXES,
    CHIPS_FOLDER,
    META_FILE,
    TILE_CACHE_FOLDER,
    TILES_FOLDER,
)
from lecdiff_core.environment.imagery import geotiff, wayback
from lecdiff_core.environment.imagery.terms import CONSENT, INSTEAD, POWERED_BY_ESRI, STATEMENT
from lecdiff_core.environment.imagery.tiles import (
    TileCache,
    Window,
    choose_zoom,
    cut,
    fetch_tiles,
    window,
)
from lecdiff_core.errors import UserError
from lecdiff_core.images import ImageError, read_image
from lecdiff_core.jsonl import append_record, read_records
from lecdiff_core.locks import working
from lecdiff_core.progress import Report, silent
from lecdiff_core.storage import below, replacing
from lecdiff_core.web import Web, WebError, redacted

ARCGIS = "arcgis"
METRES = 640.0  # a side of a chip, where nothing else is said
ARCGIS_URL = "https://services.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer"
DEEPEST_ZOOM = 19
RECIPE = 1  # raise when the same settings give other pixels
JPEG_QUALITY = 92
TERMS = (
    f"{CONSENT}: with --accept-terms {STATEMENT}; alternatives: {INSTEAD} (--source FILE.tif), or a tile server you may use "
    "(--source https://…/{z}/{x}/{y}.jpg)"
)


class ChipRecord(BaseModel):
    """Where one chip comes from: a line of `imagery/chips.jsonl`; of several lines for a station the last counts."""

    model_config = ConfigDict(extra="forbid")

    station_id: str
    sha256: str  # of the chip file's bytes
    recipe: str  # digest of all that determines the pixels; a chip is kept while it is the same
    source: str  # arcgis, a template without secrets, or a file name
    size: int  # pixels a side
    metres: float  # a side
    longitude: float
    latitude: float
    zoom: int | None = None  # of the tiles; none for a raster
    date: str | None = None  # the month asked for
    release: str | None = None  # the day the Wayback release was published, which is not when its pictures were taken
    attribution: str = ""
    fetched_at: str  # ISO 8601, UTC


@dataclass
class ImageryReport:
    """What `fetch_imagery` did: every station is in exactly one of `made`, `kept`, `own` and `failed`."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # the chip was there, with the same recipe
    own: list[str] = field(default_factory=list)  # a chip that was not made here, left alone
    failed: dict[str, str] = field(default_factory=dict)  # station id: reason
    requested_tiles: int = 0
    failed_tiles: int = 0  # of those requested, or not even tried
    unreachable: bool = False  # the service did not even describe itself
    attribution: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def missing(self) -> str:
        """Which stations have no chip, as a line; empty where all have one."""
        return f"{len(self.failed)} stations have no chip: {named(list(self.failed))}" if self.failed else ""

    @property
    def nothing(self) -> str:
        """Why nothing of what was asked could be made, as a line; empty where something was, or nothing was asked.

        That some stations cannot have a chip is no such case where the others have theirs; that no tile was received at all is one.
        """
        no_tile = self.unreachable or 0 < self.requested_tiles <= self.failed_tiles
        if self.made or not self.failed or ((self.kept or self.own) and not no_tile):
            return ""
        return f"{next(iter(self.failed.values()))}; {self.missing}"


@dataclass(frozen=True)
class _Wanted:
    source: str
    label: str
    size: int
    metres: float
    date: str | None

    def recipe(self, longitude: float, latitude: float) -> str:
        parts = [RECIPE, self.source, self.size, self.metres, self.date, longitude, latitude]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Service:
    template: str
    deepest_zoom: int
    attribution: str
    release: str | None = None


def fetch_imagery(
    city: City,
    source: str = ARCGIS,
    size: int = 256,
    metres: float = METRES,
    date: str | None = None,
    accept_terms: bool = False,
    per_second: float = 10.0,
    concurrency: int = 4,
    allowed: AllowedHosts | None = None,
    report: Report = silent,
) -> ImageryReport:
    """Make the chip of every station that lacks one, `size` pixels for `metres` a side, centred on it, north up.

    source: "arcgis", a tile template with {z}, {x} and {y}, or the path of a GeoTIFF. date: a month "YYYY-MM"; ArcGIS
    then gives its nearest Wayback release. Anything of Esri needs `accept_terms`. At most `per_second` requests start a
    second. Attribution goes into `city.toml` and beside every chip.
    allowed: hosts that a template may lead to, where it is a visitor's and not the operator's own.

    A station whose chip cannot be made is named in the report with its reason, and the others go on. Raises UserError
    for wrong options and for a file that is no usable raster.
    """
    _check_options(size, metres)
    _check_places(city, source)
    is_template = "{" in source or "://" in source
    if is_template:
        check_template(source)
        if allowed is not None and not allowed.name(source):
            raise UserError(refused(source))
    if date is not None:
        wayback.parse_month(date)
        if source != ARCGIS:
            raise UserError("--date chooses a release of Esri Wayback and goes with --source arcgis only")
    if _is_esri(source) and not accept_terms:
        raise UserError(TERMS)
    label = redacted(source) if is_template else source if source == ARCGIS else Path(source).name
    identity = source if is_template or source == ARCGIS else _raster_identity(Path(source))
    wanted = _Wanted(identity, label, size, metres, date)
    with working(city.path, "imagery"):
        return _fetch(city, wanted, source, date, per_second, concurrency, allowed if is_template else None, report)


def _fetch(
    city: City,
    wanted: _Wanted,
    source: str,
    date: str | None,
    per_second: float,
    concurrency: int,
    allowed: AllowedHosts | None,
    report: Report,
) -> ImageryReport:
    result = ImageryReport()
    places = _places_to_make(city, wanted, result)
    if not places:
        _keep_attribution(city, result.attribution, result)
        return result
    if "{" in source or "://" in source or source == ARCGIS:
        with Web(per_second, allowed=allowed) as web:
            try:
                service = _service(source, date, web)
            except WebError as error:
                reason = (
                    f"{host_of(arcgis_url())}: {error}; check the network, or use --source with imagery of your own"
                )
                result.failed, result.unreachable = dict.fromkeys(places, reason), True
                return result
            _from_tiles(city, wanted, service, places, web, concurrency, result, report)
        if date is not None:
            result.notes.append(
                f"imagery is the Wayback release of {service.release}, the nearest to {date}; "
                "its pictures were taken earlier"
            )
    else:
        _from_raster(city, wanted, Path(source), places, result, report)
    if not result.attribution:
        result.notes.append(
            f"{wanted.label} names no attribution; if its licence asks for one, write it into {META_FILE}"
        )
    return result


def read_chip_records(city: City) -> dict[str, list[ChipRecord]]:
    """The provenance of the chips that were made here, by station, the newest last."""
    records: dict[str, list[ChipRecord]] = {}
    for record in read_records(_records_file(city), ChipRecord):
        records.setdefault(record.station_id, []).append(record)
    return records


def chip_metres(records: list[ChipRecord], sha256: str) -> float:
    """Metres a side of the chip with this digest, of a station's records; the default where none tells."""
    return next((record.metres for record in reversed(records) if record.sha256 == sha256), METRES)


class LocalTiles(TileCache):
    """The tiles that a city carries itself, `imagery/tiles/Z/X/Y.*`."""

    def __init__(self, city: City) -> None:
        super().__init__(city.path / TILES_FOLDER)
        self.deepest = max((int(zoom.name) for zoom in self._folder.glob("*") if zoom.name.isdecimal()), default=0)

    def path(self, tile: Tile) -> Path:
        """Where the tile lies, whatever its kind of image."""
        named = self._folder / str(tile.z) / str(tile.x) / f"{tile.y}.jpg"
        return next((file for suffix in CHIP_SUFFIXES if (file := named.with_suffix(suffix)).is_file()), named)


def place_chip(
    city: City,
    longitude: float,
    latitude: float,
    size: int,
    metres: float,
    accept_terms: bool = False,
    allowed: AllowedHosts | None = None,
) -> Image.Image:
    """The chip of a place that is no station: from the city's own tiles, or from where its imagery comes from.

    accept_terms, allowed: see `fetch_imagery`. Raises ImageError, which says why there is none.
    """
    try:
        if city.has_tiles:
            tiles = LocalTiles(city)
            return _chip_of_tiles(
                window(longitude, latitude, metres, choose_zoom(latitude, metres / size, tiles.deepest)), tiles, size
            )
        if not city.has_true_places or city.meta.imagery == "local":
            raise ImageError("the city has no imagery that covers more than its stations; give a chip")
        if _is_esri(city.meta.imagery) and not accept_terms:
            raise ImageError(f"{CONSENT}: with --accept-terms {STATEMENT}; or give a chip")
        if allowed is not None and "{" in city.meta.imagery and not allowed.name(city.meta.imagery):
            raise ImageError(refused(city.meta.imagery))
        with Web(allowed=allowed) as web:
            service = _service(city.meta.imagery, None, web)
            place = window(longitude, latitude, metres, choose_zoom(latitude, metres / size, service.deepest_zoom))
            cache = _cache(city, service)
            fetched = fetch_tiles(place.tiles.values(), service.template, cache, web)
        if problem := next(filter(None, map(fetched.reason, place.tiles.values())), None):
            raise ImageError(problem)
        return cut(place, cache, size)
    except (ValueError, WebError) as error:
        raise error if isinstance(error, ImageError) else ImageError(str(error)) from None


def _chip_of_tiles(place: Window, tiles: TileCache, size: int) -> Image.Image:
    for tile in place.tiles.values():
        if tiles.read(tile) is None:
            raise ImageError("the city's imagery does not reach there")
    return cut(place, tiles, size)


def _cache(city: City, service: _Service) -> TileCache:
    key = hashlib.sha256(service.template.encode()).hexdigest()[:12]
    return TileCache(city.path / TILE_CACHE_FOLDER / f"{host_of(service.template)}-{key}")


def arcgis_url() -> str:
    """The service's address; the environment variable LECDIFF_ARCGIS_URL overrides it."""
    url = os.environ.get("LECDIFF_ARCGIS_URL") or ARCGIS_URL
    check_url(url, "LECDIFF_ARCGIS_URL")
    return url.rstrip("/")


def _check_options(size: int, metres: float) -> None:
    if not 32 <= size <= 2048:
        raise UserError(f"a chip of {size} pixels is not possible; --size must be between 32 and 2048")
    if not 50 <= metres <= 20_000:
        raise UserError(f"a chip of {metres:g} m is not possible; --metres must be between 50 and 20000")


def _check_places(city: City, source: str) -> None:
    own = "put images of your own into imagery/chips/ID.jpg"
    if not city.has_places:
        raise UserError(f"{city.path}: nothing is known of where its stations stand, so no image can be fetched; {own}")
    if not city.has_true_places and _is_esri(source):
        raise UserError(
            f"{city.path}: its places are nominal, so satellite images of them show other places; {own}, or take "
            "--source from a map that was made for these places"
        )


def _is_esri(source: str) -> bool:
    host = host_of(source)
    return source == ARCGIS or any(
        host == name or host.endswith("." + name) for name in ("arcgis.com", "arcgisonline.com")
    )


def _raster_identity(path: Path) -> str:
    with geotiff.open_raster(path), path.open("rb") as file:
        return f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _records_file(city: City) -> Path:
    return city.path / CHIP_RECORDS_FILE


def _places_to_make(city: City, wanted: _Wanted, result: ImageryReport) -> dict[str, tuple[float, float]]:
    """Longitude and latitude of the stations whose chip is not there yet; the others go into the report."""
    records = read_chip_records(city)
    places = {}
    points = city.stations.geometry
    for station, x, y in zip(city.station_ids, points.x.tolist(), points.y.tolist(), strict=True):
        content = chip.read_bytes() if (chip := city.chip(station)) else b""
        digest = hashlib.sha256(content).hexdigest()
        made = records.get(station, [])
        if made and made[-1].sha256 == digest and made[-1].recipe == wanted.recipe(x, y):
            result.kept.append(station)
            result.attribution = made[-1].attribution
        elif _is_image(content) and all(record.sha256 != digest for record in made):
            result.own.append(station)
        else:
            places[station] = (x, y)
    return places


def _is_image(content: bytes) -> bool:
    try:
        read_image(content)
    except ImageError:
        return False
    return True


def _service(source: str, date: str | None, web: Web) -> _Service:
    """Where the tiles come from. Raises WebError where the service does not describe itself."""
    if source != ARCGIS:
        return _Service(source, DEEPEST_ZOOM, POWERED_BY_ESRI if _is_esri(source) else "")
    deepest, attribution = web.get(f"{arcgis_url()}?f=json", _read_description)
    if date is None:
        return _Service(f"{arcgis_url()}/tile/{{z}}/{{y}}/{{x}}?blankTile=false", deepest, attribution)
    release = wayback.nearest(wayback.releases(web), wayback.parse_month(date))
    day = release.published.isoformat()
    return _Service(release.template, deepest, f"{attribution} (World Imagery Wayback {day})", day)


def _read_description(body: bytes) -> tuple[int, str]:
    """The deepest zoom and the attribution from the service's own description."""
    try:
        described = json.loads(body)
        levels = [int(level["level"]) for level in described["tileInfo"]["lods"]]
        rights = " ".join(str(described.get("copyrightText") or "").split())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WebError("the service's description is not understood") from None
    return min(max(levels, default=DEEPEST_ZOOM), 23), f"{POWERED_BY_ESRI} | {rights}" if rights else POWERED_BY_ESRI


def _from_tiles(
    city: City,
    wanted: _Wanted,
    service: _Service,
    places: dict[str, tuple[float, float]],
    web: Web,
    concurrency: int,
    result: ImageryReport,
    report: Report,
) -> None:
    windows: dict[str, Window] = {}
    for station, (x, y) in places.items():
        zoom = choose_zoom(y, wanted.metres / wanted.size, service.deepest_zoom)
        try:
            windows[station] = window(x, y, wanted.metres, zoom)
        except ValueError as error:
            result.failed[station] = str(error)
    cache = _cache(city, service)
    tiles = [tile for place in windows.values() for tile in place.tiles.values()]
    fetched = fetch_tiles(tiles, service.template, cache, web, concurrency, report)
    result.requested_tiles, result.failed_tiles = fetched.requested, len(fetched.failed)
    _keep_attribution(city, service.attribution, result)
    for done, (station, place) in enumerate(windows.items(), start=1):
        problems = [(tile, reason) for tile in place.tiles.values() if (reason := fetched.reason(tile))]
        if problems:
            tile, reason = problems[0]
            more = f", and {len(problems) - 1} more tiles" if len(problems) > 1 else ""
            result.failed[station] = f"tile {tile.z}/{tile.x}/{tile.y}: {reason}{more}"
        else:
            x, y = places[station]
            record = _record(station, wanted, x, y, service.attribution, zoom=place.zoom, release=service.release)
            _make(city, record, partial(cut, place, cache, wanted.size), result)
        report(done, len(windows), f"chip {done} of {len(windows)}")


def _from_raster(
    city: City,
    wanted: _Wanted,
    path: Path,
    places: dict[str, tuple[float, float]],
    result: ImageryReport,
    report: Report,
) -> None:
    with geotiff.open_raster(path) as raster:
        _keep_attribution(city, geotiff.attribution(raster), result)
        for done, (station, (x, y)) in enumerate(places.items(), start=1):
            record = _record(station, wanted, x, y, result.attribution)
            _make(city, record, partial(geotiff.chip, raster, x, y, wanted.metres, wanted.size), result)
            report(done, len(places), f"chip {done} of {len(places)}")


def _record(station: str, wanted: _Wanted, x: float, y: float, attribution: str, **details: Any) -> ChipRecord:
    return ChipRecord(
        station_id=station,
        sha256="",
        recipe=wanted.recipe(x, y),
        source=wanted.label,
        size=wanted.size,
        metres=wanted.metres,
        longitude=x,
        latitude=y,
        date=wanted.date,
        attribution=attribution,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        **details,
    )


def _make(city: City, record: ChipRecord, cut_chip: Callable[[], Image.Image], result: ImageryReport) -> None:
    """Write one chip, its line first: a run cut off in between leaves a chip that is seen to be an older one."""
    try:
        image = cut_chip()
    except (ValueError, OSError) as error:
        result.failed[record.station_id] = " ".join(str(error).split())
        return
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    content = buffer.getvalue()
    append_record(_records_file(city), record.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()}))
    with replacing(below(city.path / CHIPS_FOLDER, f"{record.station_id}.jpg")) as unfinished:
        unfinished.write_bytes(content)
    result.made.append(record.station_id)


def _keep_attribution(city: City, attribution: str, result: ImageryReport) -> None:
    """Say it in the report and in `city.toml`, before the first chip is made."""
    result.attribution = attribution
    meta = read_meta(city.path)
    if attribution in meta.attribution:
        return
    city.meta = meta.model_copy(update={"attribution": "; ".join(filter(None, [meta.attribution, attribution]))})
    with replacing(city.path / META_FILE) as unfinished:
        unfinished.write_text(tomli_w.dumps(city.meta.model_dump(exclude_none=True)), encoding="utf-8")
