"""Embedding a city: each chip and what was said of it, once; later runs touch only what has changed.

The rows of every station are kept in `encoder/embedded.safetensors` with what they were made from (SHA-256 of
the chip and of the text). It is written while a run works, so that a stopped run goes on where it was, and
`environment.safetensors` is assembled from it at the end.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lecdiff_core.bounded import parse_json
from lecdiff_core.city.folder import City, named
from lecdiff_core.city.layout import DESCRIPTIONS_FILE, EMBEDDED_FILE, ENCODER_FOLDER
from lecdiff_core.environment.descriptions.record import Description, current_descriptions, read_descriptions
from lecdiff_core.environment.embedding.table import EnvironmentTable, read_environment, stage_environment
from lecdiff_core.errors import UserError
from lecdiff_core.images import ImageError, read_image, read_unchanged
from lecdiff_core.locks import working
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import is_current
from lecdiff_core.storage import changing, recover, replacing

if TYPE_CHECKING:
    from lecdiff_core.environment.embedding.encoder import Encoder, Files

BLOCK = 32  # stations that are embedded at once
SECONDS_BETWEEN_KEEPS = 30.0


@dataclass
class EmbedReport:
    """What a run did. Rows of stations without a usable chip are zeros; those without a text have no text row.

    `unreadable` gives the reason by station; `stale` names stations whose descriptions are all of an older chip.
    """

    encoder: str = ""
    width: int = 0
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    without_chip: list[str] = field(default_factory=list)
    without_text: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> str:
        """Which stations are not embedded, as a line; empty where all are."""
        without = [*self.without_chip, *self.unreadable]
        return f"{len(without)} stations are not embedded: {named(without)}" if without else ""

    @property
    def nothing(self) -> str:
        """Why not a single station could be embedded, as a line; empty where one is."""
        if self.made or self.kept:
            return ""
        return f"no station has a chip that can be embedded; fetch imagery first with `lecdiff imagery`; {self.missing}"


class _Source(NamedTuple):
    """What a station's rows are made from."""

    chip: str  # SHA-256
    text: str  # SHA-256 of the kept texts


class _Made(NamedTuple):
    source: _Source
    rows: np.ndarray  # (3, D): image, text, unified


class _Job(NamedTuple):
    station: str
    chip: Path
    source: _Source
    texts: list[str]


def embed_city(city: City, encoder: str = "default", device: str = "auto", report: Report = silent) -> EmbedReport:
    """Embed what stands around every station and write `environment.safetensors`.

    encoder: `default`, the folder of an encoder, or an open_clip model with its weights (`MODEL/TAG`, `MODEL/FILE`). A copy of
    it stays in the city folder, for the text search. Of a description, the sentences that refinement kept count; of several
    descriptions the mean. A station without one is united with the empty text. `report` may raise to stop; what was embedded
    is kept.
    """
    with working(city.path, "embed"):
        return _embed_city(city, encoder, device, report)


def _embed_city(city: City, encoder: str, device: str, report: Report) -> EmbedReport:
    from lecdiff_core.environment.embedding.encoder import identity

    recover(city.path)
    folder = city.path / ENCODER_FOLDER
    files = _files(encoder, folder)
    result = EmbedReport(encoder=identity(*files))
    made = _read_cache(folder / EMBEDDED_FILE, result.encoder)
    jobs = _jobs(city, made, result)
    if jobs:
        _embed(jobs, files, folder, made, device, result, report)
    else:
        report(1, 1, "every chip and text is embedded already")
    if not made:
        return result
    table = _table(city, made, result)
    result.width = table.image.shape[1]
    _keep(city, files, table)
    return result


def _keep(city: City, files: "Files", table: EnvironmentTable) -> None:
    """Write the encoder and its embeddings into the city folder as one change, where it does not hold them already."""
    from lecdiff_core.environment.embedding.encoder import encoder_identity, stage_encoder

    try:
        installed = encoder_identity(city.path / ENCODER_FOLDER) == table.encoder
    except UserError:
        installed = False
    present = _read_table(city)
    if installed and present is not None and _same(present, table):
        return
    with changing(city.path) as change:
        if not installed:
            stage_encoder(change, ENCODER_FOLDER, files)
        stage_environment(change, table)


def stations_to_embed(city: City, table: EnvironmentTable) -> list[str]:
    """Stations with a chip whose chip or texts are not those that the table's rows were made from."""
    made_from = table.sources()
    jobs = _jobs(city, {}, EmbedReport())
    return [
        job.station
        for job in jobs
        if is_current(made_from.get(job.station, {"chip": ""}), job.source._asdict()) is False
    ]


def _files(encoder: str, folder: Path) -> "Files":
    """The files of the encoder that is meant; what the city folder holds already is not downloaded again."""
    from lecdiff_core.environment.embedding.encoder import find_encoder, from_open_clip, read_config, read_files

    if source := find_encoder(encoder):
        return read_files(source)
    model, _, weights = encoder.partition("/")
    try:
        if read_config(folder).name == f"{model}/{Path(weights).name}" and not Path(weights).is_file():
            return read_files(folder)
    except UserError:
        pass
    return from_open_clip(encoder).files()


def _jobs(city: City, made: dict[str, _Made], result: EmbedReport) -> list[_Job]:
    """The stations whose chip or texts are new; the others go into the report, and rows that hold no more are dropped."""
    described = current_descriptions(read_descriptions(city.path / DESCRIPTIONS_FILE))
    jobs = []
    for station in city.station_ids:
        chip = city.chip(station)
        if chip is None:
            result.without_chip.append(station)
            made.pop(station, None)
            continue
        before = made[station].source if station in made else None
        digest = hashlib.sha256(chip.read_bytes()).hexdigest()
        texts = _texts(station, described.get(station, []), digest, result)
        source = _Source(digest, hashlib.sha256(json.dumps(texts).encode()).hexdigest())
        if before == source:
            result.kept.append(station)
        else:
            made.pop(station, None)
            jobs.append(_Job(station, chip, source, texts))
    return jobs


def _texts(station: str, descriptions: Sequence[Description], digest: str, result: EmbedReport) -> list[str]:
    """The kept sentences of each description of this very chip."""
    ofchip = [one for one in descriptions if one.image_sha256 == digest]
    if descriptions and not ofchip:
        result.stale.append(station)
    texts = [one.kept_text for one in ofchip if one.kept_text]
    if not texts:
        result.without_text.append(station)
    return texts


def _embed(
    jobs: list[_Job],
    files: "Files",
    folder: Path,
    made: dict[str, _Made],
    device: str,
    result: EmbedReport,
    report: Report,
) -> None:
    from lecdiff_core.devices import choose_device
    from lecdiff_core.environment.embedding.encoder import Encoder

    encoder = Encoder.of(files, folder, choose_device(device))
    kept_at = time.monotonic()
    known = {(one.source.chip, one.source.text): one.rows for one in made.values()}
    groups = []
    for key, group in _groups(jobs).items():
        if key in known:
            made |= {job.station: _Made(job.source, known[key]) for job in group}
            result.made += [job.station for job in group]
        else:
            groups.append(group)
    done = len(result.made)
    try:
        for start in range(0, len(groups), BLOCK):
            block = groups[start : start + BLOCK]
            for group, rows in _rows(encoder, block, result):
                made |= {job.station: _Made(job.source, rows) for job in group}
                result.made += [job.station for job in group]
            if time.monotonic() - kept_at > SECONDS_BETWEEN_KEEPS:
                _write_cache(folder / EMBEDDED_FILE, result.encoder, made)
                kept_at = time.monotonic()
            done += sum(map(len, block))
            report(done, len(jobs), f"embedded {done} of {len(jobs)} chips")
    finally:
        if result.made:
            result.made = [job.station for job in jobs if job.station in made]
            _write_cache(folder / EMBEDDED_FILE, result.encoder, made)


def _groups(jobs: list[_Job]) -> dict[tuple[str, str], list[_Job]]:
    """Stations with the very same chip and texts, as the sectors of a mast have: they are embedded once."""
    groups: dict[tuple[str, str], list[_Job]] = {}
    for job in jobs:
        groups.setdefault((job.source.chip, job.source.text), []).append(job)
    return groups


def _rows(encoder: "Encoder", block: list[list[_Job]], result: EmbedReport) -> list[tuple[list[_Job], np.ndarray]]:
    """(3, D) rows of each group whose chip can be read."""
    images, readable = [], []
    for group in block:
        try:
            images.append(read_image(read_unchanged(group[0].chip, group[0].source.chip)).convert("RGB"))
            readable.append(group)
        except (ImageError, OSError) as error:
            result.unreadable |= {job.station: str(error) for job in group}
    counts = [max(1, len(group[0].texts)) for group in readable]
    repeated = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
    texts = [text for group in readable for text in (group[0].texts or [""])]
    if not readable:
        return []
    embedded = np.stack(encoder.embed_pairs(repeated, texts), axis=1)
    rows = []
    for group, part in zip(readable, np.split(embedded, np.cumsum(counts)[:-1]), strict=True):
        mean = part.mean(0)
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        mean[1] *= bool(group[0].texts)
        rows.append((group, mean))
    return rows


def _table(city: City, made: dict[str, _Made], result: EmbedReport) -> EnvironmentTable:
    empty = np.zeros_like(next(iter(made.values())).rows)
    rows = np.stack([made[station].rows if station in made else empty for station in city.station_ids])
    hashes = tuple(made[station].source.chip if station in made else "" for station in city.station_ids)
    texts = tuple(made[station].source.text if station in made else "" for station in city.station_ids)
    return EnvironmentTable(city.station_ids, rows[:, 0], rows[:, 1], rows[:, 2], result.encoder, hashes, texts)


def _read_table(city: City) -> EnvironmentTable | None:
    try:
        return read_environment(city)
    except UserError:
        return None


def _same(one: EnvironmentTable, other: EnvironmentTable) -> bool:
    told = ("station_ids", "encoder", "image_sha256", "text_sha256")
    return all(getattr(one, name) == getattr(other, name) for name in told) and all(
        np.array_equal(getattr(one, kind), getattr(other, kind)) for kind in ("image", "text", "unified")
    )


def _read_cache(file: Path, encoder: str) -> dict[str, _Made]:
    """What this encoder has embedded; nothing where the file is missing, damaged or another encoder's."""
    try:
        with safe_open(file, framework="numpy") as cache:
            metadata = cache.metadata() or {}
            if metadata.get("encoder") != encoder:
                return {}
            rows = cache.get_tensor("rows")
            sources = parse_json(metadata["sources"])
            return {
                station: _Made(_Source(*source[-2:]), row)  # before these two earlier versions kept size and time
                for (station, source), row in zip(sources.items(), rows, strict=True)
            }
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return {}


def _write_cache(file: Path, encoder: str, made: dict[str, _Made]) -> None:
    rows = np.stack([one.rows for one in made.values()]).astype(np.float32)
    sources = {station: list(one.source) for station, one in made.items()}
    with replacing(file) as unfinished:
        unfinished.write_bytes(save({"rows": rows}, {"encoder": encoder, "sources": json.dumps(sources)}))
