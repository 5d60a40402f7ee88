"""What stands around a site, as the city's encoder puts it: from a chip, from words, from both, or nothing at all.

A site is compared with the stations by what is known of both: image, text and their union where there are a chip and words, the
image or the text alone else. Each kind is brought to the same mean squared distance between stations, and they count alike. Words
are a person's, so nothing is checked against the chip; what is no description (another language, markup, more than can be read) is
left out, and a notice says so.

Letters: N stations, M sites, D width of all kinds together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from lecdiff_core.addresses import AllowedHosts
from lecdiff_core.city.folder import City
from lecdiff_core.environment.embedding.table import EnvironmentTable
from lecdiff_core.environment.imagery.chips import METRES, chip_metres, place_chip, read_chip_records
from lecdiff_core.environment.imagery.geotiff import chip as raster_chip
from lecdiff_core.environment.imagery.geotiff import open_raster
from lecdiff_core.environment.refinement.filters import filter_rules, sentence_fault, strip_leads
from lecdiff_core.environment.refinement.sentences import split_sentences
from lecdiff_core.environment.search.neighbours import city_encoder, nearest
from lecdiff_core.environment.station_table import embedded_alike, stored_table
from lecdiff_core.errors import UserError
from lecdiff_core.images import ImageError, read_image

BOTH, PICTURE, WORDS, NUMBERS = ("image", "text", "unified"), ("image",), ("text",), ("table",)
MARKUP = re.compile(r"</?[a-z!][^<>]*>|\{\{|\]\(", re.IGNORECASE)
CHIP_SIZE = 256
RASTERS = (".tif", ".tiff")
LOOKALIKES = 8
SHOWN_CHARACTERS = 60

Kinds = tuple[str, ...]


@dataclass(frozen=True)
class Surroundings:
    """What is known of one site's surroundings.

    rows: an embedding (D,) of each kind.  kinds: those it is compared by.  text: what was read of its words.  image: its chip.
    notices: what could not be used, and why.
    """

    kinds: Kinds = ()
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    text: str = ""
    image: Image.Image | None = None
    notices: tuple[str, ...] = ()

    @property
    def basis(self) -> str:
        """What it rests on, in words."""
        return " and ".join(kind for kind in self.kinds if kind != "unified") or "nothing"


@dataclass(frozen=True)
class View:
    """Embeddings of some kinds side by side, each in units of its spread over the known stations."""

    kinds: Kinds
    scales: tuple[float, ...]

    @classmethod
    def of(cls, kinds: Kinds, rows: dict[str, np.ndarray]) -> "View":
        """For rows (N, D) of each kind."""
        spreads = (float(np.sqrt(np.asarray(rows[kind], float).var(0).sum())) for kind in kinds)
        return cls(kinds, tuple(max(spread, 1e-9) * len(kinds) ** 0.5 for spread in spreads))

    def side_by_side(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        """(M, D) of rows (M, D) of each kind."""
        parts = [np.asarray(rows[kind], float) / scale for kind, scale in zip(self.kinds, self.scales, strict=True)]
        return np.concatenate(parts, axis=1)


def kinds_of(table: EnvironmentTable | None) -> Kinds:
    """All kinds of embeddings that a city has, in which its stations are compared with one another."""
    if table is None:
        return ()
    if table.table is not None and not table.image.any() and not table.text.any():
        return NUMBERS
    return _comparable(table, pictured=True, worded=True) + (NUMBERS if table.table is not None else ())


def station_rows(table: EnvironmentTable, station_ids: tuple[str, ...], kinds: Kinds) -> dict[str, np.ndarray]:
    """Rows (N, D) of each kind in the order of the stations."""
    return {kind: table.rows(station_ids, kind) for kind in kinds}


def known_in(rows: dict[str, np.ndarray], count: int) -> np.ndarray:
    """(N,) whether each station has a row of every kind."""
    return np.logical_and.reduce([part.any(1) for part in rows.values()] or [np.zeros(count, bool)])


def read_chip(file: Path, place: tuple[float, float] | None, metres: float | None, usual: float) -> Image.Image:
    """A chip of one's own, brought to the ground that the city's chips show.

    file: JPEG, PNG or WebP, or a GeoTIFF, of which the ground around the place (lon, lat) is cut.  metres: what the image shows a
    side; None = as much as the city's chips, `usual`. Raises UserError where it cannot be read, or shows less.
    """
    if file.suffix.lower() in RASTERS:
        if place is None:
            raise UserError(f"--chip {file}: a GeoTIFF needs a place to cut from; give --lon and --lat")
        try:
            with open_raster(file) as raster:
                return raster_chip(raster, *place, usual, CHIP_SIZE)
        except ValueError as error:
            raise UserError(f"--chip {file}: {error}; give a raster around the site, or leave --chip away") from error
    try:
        image = read_image(file.read_bytes()).convert("RGB")
    except OSError as error:
        raise UserError(f"--chip {file} cannot be read: {error.strerror or error}") from error
    except ImageError as error:
        raise UserError(f"--chip {file}: {error}; give a JPEG, PNG, WebP or GeoTIFF") from error
    if metres is None or abs(metres / usual - 1) < 0.01:
        return image
    if metres < usual:
        raise UserError(
            f"--chip {file}: it shows {metres:g} m a side, the city's chips {usual:g} m; give an image of at least as much ground"
        )
    share = usual / metres
    width, height = image.size
    left, top = width * (1 - share) / 2, height * (1 - share) / 2
    return image.crop((round(left), round(top), round(width - left), round(height - top)))


def usual_metres(city: City) -> float:
    """Metres a side of the city's chips."""
    records = read_chip_records(city)
    sides = [chip_metres(of_station, of_station[-1].sha256) for of_station in records.values()]
    return float(np.median(sides)) if sides else METRES


def readable(text: str) -> tuple[str, list[str]]:
    """What of a person's words can be read as a description, and a notice for each thing that was left out."""
    rules, sentences, notices = filter_rules(), list[str](), list[str]()
    unread: dict[str, list[str]] = {}  # by the reason
    if len(text) > rules.max_text:
        notices.append(f"only the first {rules.max_text:,} of {len(text):,} characters were read")
    for sentence in split_sentences(text[: rules.max_text]):
        _, body = strip_leads(sentence, rules)
        if not body:
            continue
        fault = "markup" if MARKUP.search(body) else sentence_fault(body, sentences, rules)
        if fault is None:
            sentences.append(body)
        else:
            unread.setdefault(fault, []).append(body)
    for fault, bodies in unread.items():
        first = bodies[0][:SHOWN_CHARACTERS] + ("…" if len(bodies[0]) > SHOWN_CHARACTERS else "")
        more = f" and {len(bodies) - 1:,} more" if len(bodies) > 1 else ""
        notices.append(f"not read ({fault}): {first!r}{more}")
    return " ".join(sentences), notices


def look_at(
    city: City,
    table: EnvironmentTable | None,
    image: Image.Image | None,
    text: str | None,
    place: tuple[float, float] | None = None,
    accept_terms: bool = False,
    allowed: AllowedHosts | None = None,
    numbers: Sequence[float] | None = None,
) -> Surroundings:
    """Embed what is given of a site; without a chip, that of the city's own imagery at the place (lon, lat) is looked for.

    numbers: (D,) of the columns of the city's table of surroundings. Raises UserError for an empty text.
    """
    seen = _look_at(city, table, image, text, place, accept_terms, allowed, numbers is not None)
    stored = None if numbers is None or table is None or table.table is None else stored_table(city)
    if stored is None:
        return seen
    row = embedded_alike(stored, np.array([numbers], float))[0]
    return replace(seen, kinds=seen.kinds + NUMBERS, rows={**seen.rows, NUMBERS[0]: row})


def _look_at(
    city: City,
    table: EnvironmentTable | None,
    image: Image.Image | None,
    text: str | None,
    place: tuple[float, float] | None,
    accept_terms: bool,
    allowed: AllowedHosts | None,
    counted: bool,
) -> Surroundings:
    """By chip and words. counted: whether numbers are known beside them, so that nothing need be said where these are not."""
    notices = list[str]()
    words = ""
    if text is not None:
        if not text.strip():
            raise UserError("the text of the site is empty; say what stands there, such as: a stadium and a car park")
        words, notices = readable(text)
    if table is None or not (table.image.any() or table.text.any()):
        given = "; what was given of the site cannot be compared" if image is not None or words else ""
        if given or not counted:
            notices.append(f"the stations have no embedded chips or descriptions (lecdiff embed){given}")
        return Surroundings(text=words, image=image, notices=tuple(notices))
    if image is None and place is not None and table.image.any():
        try:
            image = place_chip(city, *place, CHIP_SIZE, usual_metres(city), accept_terms, allowed)
        except ImageError as error:
            notices.append(f"no chip of the site: {error}")
    kinds = _comparable(table, image is not None, bool(words))
    if not kinds:
        if not counted:
            notices.append("nothing is known of the site's surroundings")
        return Surroundings(text=words, image=image, notices=tuple(notices))
    encoder = city_encoder(city)
    if encoder.identity != table.encoder:
        raise UserError(f"the embeddings in {city.path} are not of its encoder; finish them with `lecdiff embed`")
    if image is None:
        rows = {"text": encoder.embed_texts([words])[0]}
    else:
        embedded = encoder.embed_pairs([image.convert("RGB")], [words])
        rows = {kind: part[0] for kind, part in zip(BOTH, embedded, strict=True)}
    return Surroundings(kinds, {kind: rows[kind] for kind in kinds}, words, image, tuple(notices))


def _comparable(table: EnvironmentTable, pictured: bool, worded: bool) -> Kinds:
    """The kinds that both the site and the stations have."""
    pictured, worded = pictured and bool(table.image.any()), worded and bool(table.text.any())
    if pictured and worded:
        return BOTH if table.table is None else PICTURE + WORDS  # beside a table, unified holds its numbers, too
    return PICTURE if pictured else WORDS if worded else ()


def lookalikes(
    site: Surroundings, rows: dict[str, np.ndarray], station_ids: Sequence[str], k: int = LOOKALIKES
) -> list[tuple[str, float]]:
    """The k stations that stand in the likest surroundings, and the cosine of each: of the unified rows, or of the only kind."""
    if not site.kinds:
        return []
    kind = site.kinds[-1]
    known = np.flatnonzero(rows[kind].any(1))
    order, similarity = nearest(_directions(rows[kind][known]), _directions(site.rows[kind]), k)
    return [(station_ids[known[row]], float(cosine)) for row, cosine in zip(order, similarity, strict=True)]


def _directions(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
