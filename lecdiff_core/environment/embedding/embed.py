"""Embedding a city: each chip and what was said of it, once; later runs touch only what has changed.

The rows of every station are kept in `encoder/embedded.safetensors` with what they were made from (SHA-256 of
the chip and of the text). It is written while a run works, so that a stopped run goes on where it was, and
`environment.safetensors` is assembled from it at the end. A table of numbers stands beside them, or alone.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lecdiff_core.bounded import parse_json
from lecdiff_core.city.folder import City, named
from lecdiff_core.city.layout import DESCRIPTIONS_FILE, EMBEDDED_FILE, ENCODER_FOLDER
from lecdiff_core.environment.descriptions.record import Description, current_descriptions, read_descriptions
from lecdiff_core.environment.embedding.table import KINDS, EnvironmentTable, read_environment, stage_environment
from lecdiff_core.environment.station_table import (
    StationTable,
    embedded,
    read_station_table,
    stage_table,
    stored_table,
)
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

    `unreadable` gives the reason by station; `stale` names stations whose descriptions are all of an older chip. `in_table` are
    the stations with a row in the table of surroundings, `not_in_table` those without one where there is a table, and `unknown`
    those of the table alone.
    """

    encoder: str = ""
    width: int = 0
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    without_chip: list[str] = field(default_factory=list)
    without_text: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    in_table: list[str] = field(default_factory=list)
    not_in_table: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def missing(self) -> str:
        """Which stations are not embedded, or not in full, as a line; empty where all are."""
        known = {*self.made, *self.kept, *self.in_table}
        without = [name for name in [*self.without_chip, *self.unreadable, *self.not_in_table] if name not in known]
        without = list(dict.fromkeys(without))
        lines = [f"{len(without)} stations are not embedded: {named(without)}"] if without else []
        if not_in_table := [name for name in self.not_in_table if name in known]:
            lines.append(f"{len(not_in_table)} are not in the table: {named(not_in_table)}")
        if self.unknown:
            lines.append(f"{len(self.unknown)} of the table are no stations of the city: {named(self.unknown)}")
        return "; ".join(lines)

    @property
    def nothing(self) -> str:
        """Why not a single station could be embedded, as a line; empty where one is."""
        if self.made or self.kept or self.in_table:
            return ""
        return (
            "no station has a chip that can be embedded; fetch imagery first with `lecdiff imagery`, or give a table with --from; "
            f"{self.missing}"
        )


class _Source(NamedTuple):
    """What a station's rows are made from."""

    chip: str  # SHA-256, "" where it has none
    text: str  # SHA-256 of the kept texts


class _Made(NamedTuple):
    source: _Source
    rows: np.ndarray  # (3, D): image, text, unified


class _Job(NamedTuple):
    station: str
    chip: Path | None
    source: _Source
    texts: list[str]


def embed_city(
    city: City,
    encoder: str | None = None,
    device: str = "auto",
    report: Report = silent,
    table: Path | None = None,
) -> EmbedReport:
    """Embed what stands around every station and write `environment.safetensors`.

    encoder: `default`, `clean`, the folder of an encoder, or an open_clip model with its weights (`MODEL/TAG`, `MODEL/FILE`);
    None: the one that the city has, else `default`. A copy of it stays in the city folder, for the text search. Of a
    description, the sentences that refinement kept count; of several descriptions the mean. A station without one is united
    with the empty text; one without a chip has its text alone.
    table: station ids and number columns (`read_station_table`), which the city keeps; None = the one that it keeps already.
    Where nothing but a table is there, no encoder is needed. `report` may raise to stop; what was embedded is kept.
    """
    with working(city.path, "embed"):
        return _embed_city(city, encoder, device, report, table)


def _embed_city(city: City, encoder: str | None, device: str, report: Report, file: Path | None) -> EmbedReport:
    recover(city.path)
    given = read_station_table(file, city) if file else stored_table(city)
    result = EmbedReport()
    files, made = _embed_seen(city, encoder, device, result, report)
    if given is not None:
        result.in_table = list(given.station_ids)
        result.not_in_table = [name for name in city.station_ids if name not in set(given.station_ids)]
        result.unknown = list(given.unknown)
    if not made and given is None:
        return result
    table = _table(city, made, given, result)
    result.width = table.unified.shape[1]
    _keep(city, files if made else None, table, given if file else None)
    return result


def _embed_seen(
    city: City, encoder: str | None, device: str, result: EmbedReport, report: Report
) -> tuple["Files | None", dict[str, _Made]]:
    """Embed chips and texts by an encoder: its files, None where there is nothing to embed, and the rows by station."""
    jobs = _jobs(city, result)
    if not jobs:
        return None, {}
    from lecdiff_core.environment.embedding.encoder import identity

    folder = city.path / ENCODER_FOLDER
    files = _files(encoder, folder)
    result.encoder = identity(*files)
    made = _read_cache(folder / EMBEDDED_FILE, result.encoder)
    result.kept = [job.station for job in jobs if job.station in made and made[job.station].source == job.source]
    made = {station: made[station] for station in result.kept}
    waiting = [job for job in jobs if job.station not in made]
    if waiting:
        _embed(waiting, files, folder, made, device, result, report)
    else:
        report(1, 1, "every chip and text is embedded already")
    return files, made


def _keep(city: City, files: "Files | None", table: EnvironmentTable, given: StationTable | None) -> None:
    """Write encoder, embeddings and a new table into the city folder as one change, where it does not hold them already."""
    install = files is not None and not _is_installed(city, table.encoder)
    present = _read_table(city)
    if not install and given is None and present is not None and _same(present, table):
        return
    with changing(city.path) as change:
        if install:
            from lecdiff_core.environment.embedding.encoder import stage_encoder

            assert files is not None
            stage_encoder(change, ENCODER_FOLDER, files)
        if given is not None:
            stage_table(change, given)
        stage_environment(change, table)


def _is_installed(city: City, encoder: str) -> bool:
    from lecdiff_core.environment.embedding.encoder import encoder_identity

    try:
        return encoder_identity(city.path / ENCODER_FOLDER) == encoder
    except UserError:
        return False


def stations_to_embed(city: City, table: EnvironmentTable) -> list[str]:
    """Stations whose chip, texts or numbers are not those that the table's rows were made from."""
    made_from = table.sources()
    nothing = {"chip": "", "text": ""}
    waiting = {
        job.station
        for job in _jobs(city, EmbedReport())
        if is_current(made_from.get(job.station, nothing), job.source._asdict()) is False
    }
    given = stored_table(city)
    if given is not None and given.sha256 != table.table_sha256:
        waiting |= set(given.station_ids)
    return [station for station in city.station_ids if station in waiting]


def _files(encoder: str | None, folder: Path) -> "Files":
    """The files of the encoder that is meant; what the city folder holds already is not downloaded again."""
    from lecdiff_core.environment.embedding.encoder import (
        DEFAULT,
        find_encoder,
        from_open_clip,
        read_config,
        read_files,
    )

    if encoder is None:
        try:
            return read_files(folder)
        except UserError:
            encoder = DEFAULT
    if source := find_encoder(encoder):
        return read_files(source)
    model, _, weights = encoder.partition("/")
    try:
        if read_config(folder).name == f"{model}/{Path(weights).name}" and not Path(weights).is_file():
            return read_files(folder)
    except UserError:
        pass
    return from_open_clip(encoder).files()


def _jobs(city: City, result: EmbedReport) -> list[_Job]:
    """Every station that has a chip, or words alone; who lacks what goes into the report."""
    described = current_descriptions(read_descriptions(city.path / DESCRIPTIONS_FILE))
    jobs = []
    for station in city.station_ids:
        chip = city.chip(station)
        digest = "" if chip is None else hashlib.sha256(chip.read_bytes()).hexdigest()
        texts = _texts(station, described.get(station, []), digest, result)
        if chip is None and not texts:
            result.without_chip.append(station)
            continue
        jobs.append(_Job(station, chip, _Source(digest, hashlib.sha256(json.dumps(texts).encode()).hexdigest()), texts))
    return jobs


def _texts(station: str, descriptions: Sequence[Description], digest: str, result: EmbedReport) -> list[str]:
    """The kept sentences of each description of this very chip, and of the table of surroundings."""
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
    """(3, D) rows of each group whose chip can be read, or that has words alone."""
    images, readable = [], []
    worded = [group for group in block if group[0].chip is None]
    for group in block:
        if (chip := group[0].chip) is None:
            continue
        try:
            images.append(read_image(read_unchanged(chip, group[0].source.chip)).convert("RGB"))
            readable.append(group)
        except (ImageError, OSError) as error:
            result.unreadable |= {job.station: str(error) for job in group}
    rows = _means(worded, _of_words(encoder, [text for group in worded for text in group[0].texts])) if worded else []
    if not readable:
        return rows
    repeated = [
        image for image, group in zip(images, readable, strict=True) for _ in range(max(1, len(group[0].texts)))
    ]
    texts = [text for group in readable for text in (group[0].texts or [""])]
    return rows + _means(readable, np.stack(encoder.embed_pairs(repeated, texts), axis=1))


def _of_words(encoder: "Encoder", texts: list[str]) -> np.ndarray:
    """(n, 3, D) rows of texts without a chip: all that is known of the place is what they say."""
    embedded = encoder.embed_texts(texts)
    return np.stack([np.zeros_like(embedded), embedded, embedded], axis=1)


def _means(groups: list[list[_Job]], embedded: np.ndarray) -> list[tuple[list[_Job], np.ndarray]]:
    """(3, D) rows of each group: the mean over its texts, of length 1."""
    rows = []
    counts = [max(1, len(group[0].texts)) for group in groups]
    for group, part in zip(groups, np.split(embedded, np.cumsum(counts)[:-1]), strict=True):
        mean = part.mean(0)
        mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        mean[1] *= bool(group[0].texts)
        rows.append((group, mean))
    return rows


def _table(city: City, made: dict[str, _Made], given: StationTable | None, result: EmbedReport) -> EnvironmentTable:
    """All that is known of the stations. A table is put beside the unified rows, or stands for them where there are none."""
    if made:
        empty = np.zeros_like(next(iter(made.values())).rows)
        rows = np.stack([made[station].rows if station in made else empty for station in city.station_ids])
    else:
        assert given is not None
        rows = np.zeros((len(city.station_ids), 3, len(given.columns)), np.float32)
    hashes = tuple(made[station].source.chip if station in made else "" for station in city.station_ids)
    texts = tuple(made[station].source.text if station in made else "" for station in city.station_ids)
    seen = EnvironmentTable(city.station_ids, rows[:, 0], rows[:, 1], rows[:, 2], result.encoder, hashes, texts)
    if given is None:
        return seen
    numbers, method = embedded(given)
    place = {station: row for row, station in enumerate(given.station_ids)}
    padded = np.vstack([numbers, np.zeros((1, numbers.shape[1]), np.float32)])
    numbers = padded[[place.get(station, -1) for station in city.station_ids]]
    both = np.hstack([seen.unified, numbers]) if made else numbers
    unified = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12)
    return replace(seen, unified=unified, table=numbers, table_method=method, table_sha256=given.sha256)


def _read_table(city: City) -> EnvironmentTable | None:
    try:
        return read_environment(city)
    except UserError:
        return None


def _same(one: EnvironmentTable, other: EnvironmentTable) -> bool:
    fields = ("station_ids", "encoder", "image_sha256", "text_sha256", "table_method", "table_sha256")
    return all(getattr(one, name) == getattr(other, name) for name in fields) and all(
        np.array_equal(getattr(one, kind), getattr(other, kind)) for kind in KINDS
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
