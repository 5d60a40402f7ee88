"""Descriptions of a city's chips, by a multimodal model, offline from measured evidence or from a table, into `descriptions.jsonl`.

An answer is on the disk before the next question is asked, so a run that is cut off, refused or out of money loses nothing that
was paid for, and the next run asks only for what is missing. The model sees the chip and its scale: no place, no station.
"""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image
from pydantic import BaseModel, ConfigDict

from lecdiff_core.city.folder import City, named
from lecdiff_core.city.layout import DESCRIPTIONS_FILE
from lecdiff_core.environment.descriptions.costs import Estimate, Prices, prices_of, text_tokens
from lecdiff_core.environment.descriptions.instruction import Instruction, load_instruction
from lecdiff_core.environment.descriptions.llm import AS_JSON, ChatModel, FailedError, Reply, StopError, UnusableError
from lecdiff_core.environment.descriptions.offline import OFFLINE_MODEL, describe_offline
from lecdiff_core.environment.descriptions.record import (
    Description,
    DescriptionKey,
    append_description,
    current_descriptions,
    read_descriptions,
    write_descriptions,
)
from lecdiff_core.environment.descriptions.second_look import Chip, look_again
from lecdiff_core.environment.descriptions.tabular import TABLE_MODEL, describe_table
from lecdiff_core.environment.imagery.chips import chip_metres, read_chip_records
from lecdiff_core.environment.refinement.evidence import Evidence, measure
from lecdiff_core.environment.refinement.look import Looked, default_look
from lecdiff_core.environment.refinement.refiner import default_rules, refine_with
from lecdiff_core.environment.refinement.sentences import Sentence, split_sentences
from lecdiff_core.environment.station_table import StationTable, read_station_table, stage_table, stored_table
from lecdiff_core.errors import UserError
from lecdiff_core.images import MIME_TYPES, ImageError, read_image, read_unchanged
from lecdiff_core.jsonl import Room, append_record
from lecdiff_core.locks import working
from lecdiff_core.progress import Report, silent
from lecdiff_core.storage import changing

Provider = Literal["openai", "offline", "table"]
Verify = Literal["llm"]
DEFAULT_MODEL = "gpt-4o"
NO_INSTRUCTION = "none"
REJECTED_FILE = "descriptions-rejected.jsonl"
SMALLEST_CHIP, LARGEST_CHIP = 32, 2048
MOST_A_STATION = 20
TRIES = 2  # an answer that is no description is asked for once more
FAILURES_IN_A_ROW = 3
LOOKS_A_BLOCK = 32  # descriptions that are looked at again before they are written


@dataclass
class DescriptionReport:
    """What `describe_city` did. Every station that lacks a description it should have is in `failed` or `undone`."""

    model: str
    prompt_version: str
    estimate: Estimate  # of what was to be asked, before the first question
    made: int = 0  # descriptions that are new
    shared: int = 0  # of these, taken from a station with the very same chip, without a question
    kept: int = 0  # descriptions that were there, made from the same chip, model and instruction
    failed: dict[str, str] = field(default_factory=dict)  # station id: reason
    undone: list[str] = field(default_factory=list)  # stations not asked about, because the run was stopped
    stopped: str | None = None  # why it was
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None  # dollars, None where the price is not known
    looked_at: int = 0  # descriptions that a second look judged
    contradicted: int = 0  # sentences that it removed
    distrusted: list[str] = field(default_factory=list)  # stations of which its answer was not believed
    not_looked_at: dict[str, str] = field(default_factory=dict)  # station id: reason

    @property
    def unlooked(self) -> str:
        """Which descriptions lack their second look, as a line; empty where none does."""
        lines = []
        if self.not_looked_at:
            reason = next(iter(self.not_looked_at.values()))
            names = named(list(self.not_looked_at))
            lines.append(f"{len(self.not_looked_at)} stations had no second look ({reason}): {names}")
        if self.distrusted:
            lines.append(
                f"{len(self.distrusted)} answers of the second look were not believed, for they got a sentence wrong whose truth "
                f"is known: {named(self.distrusted)}"
            )
        return "; ".join(lines)

    @property
    def missing(self) -> str:
        """Which stations are not described, as a line; empty where all are."""
        without = list(dict.fromkeys([*self.failed, *self.undone]))
        if not without:
            return ""
        asked = f", {len(self.undone)} of them not asked about" if self.undone else ""
        return f"{len(without)} stations are not described{asked}: {named(without)}"

    @property
    def nothing(self) -> str:
        """Why nothing of what was asked could be made, as a line; empty where something was, or nothing was asked."""
        if self.made or not self.missing or (self.kept and not self.estimate.calls):
            return ""
        return f"{self.stopped or next(iter(self.failed.values()))}; {self.missing}"


class Rejected(BaseModel):
    """An answer that is no description, kept because it was paid for: a line of `descriptions-rejected.jsonl`."""

    model_config = ConfigDict(extra="forbid")

    station_id: str
    n: int
    text: str
    reason: str
    model: str
    prompt_version: str
    image_sha256: str


@dataclass(frozen=True)
class _Request:
    """One question; its answer is of every station in `keys`, which have the very same chip."""

    keys: tuple[DescriptionKey, ...]
    chip: Path
    metres: float
    size: tuple[int, int]

    @property
    def key(self) -> DescriptionKey:
        """The first of them."""
        return self.keys[0]


def estimate_descriptions(
    city: City,
    provider: Provider = "openai",
    model: str | None = None,
    per_station: int = 1,
    instruction: str = "standard",
    prices: Prices | None = None,
) -> Estimate:
    """What `describe_city` would ask for now; sends nothing."""
    plan = _Plan(city, provider, model, per_station, instruction)
    return plan.estimate(prices or prices_of(plan.model))


def describe_city(
    city: City,
    provider: Provider = "openai",
    model: str | None = None,
    per_station: int = 1,
    instruction: str = "standard",
    base_url: str | None = None,
    api_key: str | None = None,
    budget: float | None = None,
    prices: Prices | None = None,
    concurrency: int = 4,
    report: Report = silent,
    table: Path | None = None,
    verify: Verify | None = None,
) -> DescriptionReport:
    """Describe every chip `per_station` times, refine the descriptions, and keep all of it in `descriptions.jsonl`.

    provider: "openai", any OpenAI-compatible endpoint; "offline"; or "table", which writes of every station in a table of
    surroundings and needs no chips. instruction: a shipped one by name, or the path of a `.md` file. base_url, api_key: else from
    the environment (see `ChatModel`). budget: dollars this run may cost at most; it needs a known price (`prices`, or a listed
    model). table: a file for `read_station_table`, which the city keeps; None = the one that it keeps already. Stations with the
    very same chip at the same scale share an answer. verify: "llm", let a model that sees the chip judge each sentence that was
    kept (`look_again`): `model` behind the endpoint, each description once.

    Stations that fail are named in the report and the others go on. When the key is refused, the quota used up or the server gone,
    the run stops and says so. Raises UserError for wrong options, and for a refused key, an unknown model or a wrong address where
    nothing at all was achieved.
    """
    if provider == "table":
        if verify:
            raise UserError("--verify llm looks at images, and a description from a table is of none; leave it out")
        _refuse_options_of_models(model, per_station, budget)
        with working(city.path, "describe"):
            return _describe_by_table(city, table)
    if table is not None:
        raise UserError(f"a table is described by --provider table, not by {provider}")
    if verify not in (None, "llm"):
        raise UserError(f"there is no way to verify {verify!r}; it is llm")
    judge = (model or DEFAULT_MODEL) if verify else None
    with working(city.path, "describe"):
        plan = _Plan(city, provider, None if verify and provider == "offline" else model, per_station, instruction)
        prices = prices or prices_of(judge or plan.model)
        estimate = plan.estimate(prices)
        _check_budget(budget, estimate, judge or plan.model)
        result = DescriptionReport(plan.model, plan.prompt_version, estimate, kept=plan.kept, failed=dict(plan.failed))
        report(0, max(1, len(plan.requests)), str(estimate))
        mistaken = False
        _share(city, plan, result)
        if provider == "offline":
            purse = _Purse(Prices(0.0, 0.0), None, plan.instruction)
            mistaken = _run(city, plan, _offline, purse, result, 1, report)
        elif plan.requests:
            with ChatModel(plan.model, base_url, api_key) as chat:
                purse = _Purse(prices, budget, plan.instruction)
                mistaken = _run(
                    city, plan, partial(_ask_model, chat, plan.instruction), purse, result, concurrency, report
                )
        try:
            _refine(city, False, report)
            if judge and not result.stopped:
                with ChatModel(judge, base_url, api_key) as chat:
                    mistaken = _look_again(city, plan, chat, prices, budget, result, concurrency, report)
        except UserError:
            if not result.stopped:
                raise
    if mistaken and not result.made:
        raise UserError(f"{result.stopped}; {result.missing}")
    return result


def refine_city(city: City, again: bool = False, report: Report = silent) -> int:
    """Refine the descriptions that no refinement has seen yet (or all, `again`, after the rules changed); return how many.

    Only descriptions of the present chip can be refined. `report` may raise to stop; what was refined is kept.
    """
    with working(city.path, "describe"):
        return _refine(city, again, report)


def _refuse_options_of_models(model: str | None, per_station: int, budget: float | None) -> None:
    if model not in (None, TABLE_MODEL) or per_station != 1 or budget is not None:
        raise UserError(
            "a table is put into words once and without a model; leave --model, --per-station and --budget out"
        )


def _describe_by_table(city: City, file: Path | None) -> DescriptionReport:
    """Write what a table says of its stations, beside what others said of their chips."""
    table = read_station_table(file, city) if file else stored_table(city)
    if table is None:
        raise UserError(f"{city.path} has no table of surroundings; give one with --from FILE")
    said = describe_table(table)
    if file:
        with changing(city.path) as change:
            stage_table(change, table)
    version = table_version(table)
    result = DescriptionReport(TABLE_MODEL, version, Estimate(0, 0, 0, 0.0), cost=0.0)
    there = current_descriptions(read_descriptions(city.path / DESCRIPTIONS_FILE))
    fresh = []
    for station in city.station_ids:
        if station not in said:
            result.failed[station] = "it has no row in the table"
            continue
        before = there.get(station, [])
        n = next((one.n for one in before if one.model == TABLE_MODEL), 1 + max((one.n for one in before), default=0))
        chip = city.chip(station)
        digest = "" if chip is None else hashlib.sha256(chip.read_bytes()).hexdigest()
        key = DescriptionKey(station, n, TABLE_MODEL, version, digest)
        if any(one.key == key for one in before):
            result.kept += 1
            continue
        sentences = [Sentence(text=text) for text in said[station]]
        fresh.append(Description(**key._asdict(), text=" ".join(said[station]), sentences=sentences))
    result.made = len(fresh)
    if fresh:
        written = read_descriptions(city.path / DESCRIPTIONS_FILE)
        write_descriptions(city.path / DESCRIPTIONS_FILE, [*written, *fresh])
    return result


def table_version(table: StationTable) -> str:
    """What stands for the instruction in a description from a table: the start of the table's hash."""
    return f"table-{table.sha256[:8]}"


def _check_budget(budget: float | None, estimate: Estimate, model: str) -> None:
    if budget is not None and not budget > 0:
        raise UserError(f"a budget of {budget:g} USD buys nothing; give one above 0, or none")
    if budget is not None and estimate.cost is None:
        raise UserError(f"the budget cannot be kept: the price of {model} is not known; give its prices")


def _refine(city: City, again: bool, report: Report) -> int:
    path = city.path / DESCRIPTIONS_FILE
    descriptions = read_descriptions(path)
    waiting = [
        i for i, one in enumerate(descriptions) if (again or one.image_score is None) and one.model != TABLE_MODEL
    ]
    waiting.sort(key=lambda i: descriptions[i].image_sha256)
    records, rules, refined = read_chip_records(city), default_rules(), 0
    names = _proper_names(city)
    measured: dict[
        tuple[str, float], tuple[Evidence, Looked | None] | None
    ] = {}  # of the chip at hand, which stations share
    try:
        for done, i in enumerate(waiting, start=1):
            one = descriptions[i]
            metres = chip_metres(records.get(one.station_id, []), one.image_sha256)
            if image := _described_chip(city, one):
                if (one.image_sha256, metres) not in measured:
                    measured = {(one.image_sha256, metres): _measured(image, metres)}
                if of_chip := measured[one.image_sha256, metres]:
                    evidence, looked = of_chip
                    verdict = refine_with(one.text, evidence, names, rules, looked)
                    scores = {"image_score": verdict.image_score, "text_score": verdict.text_score}
                    refreshed = {"sentences": list(verdict.sentences), "second_look": None, **scores}
                    descriptions[i] = one.model_copy(update=refreshed)
                    refined += 1
            report(done, len(waiting), f"refined {done} of {len(waiting)}")
    finally:
        if refined:
            write_descriptions(path, descriptions)
    return refined


def _look_again(
    city: City,
    plan: "_Plan",
    chat: ChatModel,
    prices: Prices,
    budget: float | None,
    result: DescriptionReport,
    concurrency: int,
    report: Report,
) -> bool:
    """Let a model judge what this run's kind of descriptions kept, and write it. Whether a mistake of the user's stopped it."""
    path, records = city.path / DESCRIPTIONS_FILE, read_chip_records(city)
    waiting: list[tuple[Description, Chip]] = []
    for one in read_descriptions(path):
        ours = one.model == plan.model and one.prompt_version == plan.prompt_version
        if not ours or one.image_score is None or (one.second_look or "").split(",")[0] == chat.model:
            continue
        if image := _described_chip(city, one):
            metres = chip_metres(records.get(one.station_id, []), one.image_sha256)
            waiting.append((one, Chip(_chip_content(city, one), image, metres)))
    mistaken = False
    for start in range(0, len(waiting), LOOKS_A_BLOCK):
        block = waiting[start : start + LOOKS_A_BLOCK]
        if result.stopped:
            result.not_looked_at |= {one.station_id: "not looked at again" for one, _ in block}
            continue
        spent = prices.cost(result.tokens_in, result.tokens_out) or 0.0
        looked = look_again(chat, block, prices, None if budget is None else max(budget - spent, 0.0), concurrency)
        for description in looked.judged:
            append_description(path, description)
        result.looked_at += len(looked.judged) - len(looked.distrusted)
        result.contradicted += looked.removed
        result.distrusted += looked.distrusted
        result.not_looked_at |= looked.failed
        result.tokens_in, result.tokens_out = result.tokens_in + looked.tokens_in, result.tokens_out + looked.tokens_out
        result.stopped, mistaken = looked.stopped, looked.mistaken
        report(min(start + LOOKS_A_BLOCK, len(waiting)), len(waiting), f"second look at {len(waiting)} descriptions")
    result.cost = prices.cost(result.tokens_in, result.tokens_out)
    return mistaken


def _chip_content(city: City, description: Description) -> bytes:
    chip = city.chip(description.station_id)
    assert chip is not None
    return read_unchanged(chip, description.image_sha256)


def _proper_names(city: City) -> list[str]:
    """Names that a description may mention: the city's, and those of its stations."""
    stations = city.stations["name"].dropna().astype(str) if "name" in city.stations else []
    return [city.meta.name, *stations]


def _described_chip(city: City, description: Description) -> Image.Image | None:
    """The chip a description was made from; None where the city has another one now."""
    try:
        chip, digest, _ = _chip(city, description.station_id)
        if digest != description.image_sha256:
            return None
        return read_image(read_unchanged(chip, digest))
    except (ImageError, OSError, UserError):
        return None


def _measured(image: Image.Image, metres: float) -> tuple[Evidence, Looked | None] | None:
    """What can be measured in a chip, and what the encoder sees in it; None where it shows too little."""
    try:
        evidence = measure(image, metres / image.width)
    except UserError:
        return None
    look = default_look()
    return evidence, look.at(image) if look else None


class _Question(NamedTuple):
    """What decides an answer: where these are the same, one answer will do."""

    n: int
    model: str
    prompt_version: str
    image_sha256: str
    metres: float


def _question(key: DescriptionKey, metres: float) -> _Question:
    return _Question(key.n, key.model, key.prompt_version, key.image_sha256, metres)


class _Plan:
    """Which descriptions there are to make, and which stations cannot have one."""

    def __init__(self, city: City, provider: Provider, model: str | None, per_station: int, instruction: str) -> None:
        if provider not in ("openai", "offline"):
            raise UserError(f"there is no provider {provider!r}; it is openai, offline or table")
        if not 1 <= per_station <= MOST_A_STATION:
            raise UserError(f"{per_station} descriptions a station are not possible; give 1 to {MOST_A_STATION}")
        if provider == "offline" and model not in (None, OFFLINE_MODEL):
            raise UserError(f"the offline provider has no model {model!r}; leave --model out")
        self.instruction = load_instruction(instruction)
        self.model = OFFLINE_MODEL if provider == "offline" else (model or DEFAULT_MODEL)
        self.prompt_version = NO_INSTRUCTION if provider == "offline" else self.instruction.prompt_version
        self.per_station = per_station
        self.kept = 0
        self.failed: dict[str, str] = {}
        self.shared: list[Description] = []  # what another station with the very same chip was described with
        there = read_descriptions(city.path / DESCRIPTIONS_FILE)
        records = read_chip_records(city)
        answered = {
            _question(one.key, chip_metres(records.get(one.station_id, []), one.image_sha256)): one for one in there
        }
        present = {one.key for one in there}
        asked: dict[_Question, _Request] = {}
        for station in city.station_ids:
            try:
                chip, digest, size = _chip(city, station)
            except ImageError as error:
                self.failed[station] = str(error)
                continue
            metres = chip_metres(records.get(station, []), digest)
            for n in range(1, per_station + 1):
                key = DescriptionKey(station, n, self.model, self.prompt_version, digest)
                question = _question(key, metres)
                if key in present:
                    self.kept += 1
                elif question in answered:
                    self.shared.append(answered[question].model_copy(update={"station_id": station}))
                else:
                    request = asked.get(question, _Request((), chip, metres, size))
                    asked[question] = replace(request, keys=(*request.keys, key))
        self.requests = list(asked.values())

    def estimate(self, prices: Prices) -> Estimate:
        """Tokens and dollars of all the requests."""
        if self.model == OFFLINE_MODEL:
            return Estimate(len(self.requests), 0, 0, 0.0)
        tokens_in = sum(tokens_of(request.size, self.instruction, prices) for request in self.requests)
        tokens_out = len(self.requests) * self.instruction.expected_tokens
        return Estimate(len(self.requests), tokens_in, tokens_out, prices.cost(tokens_in, tokens_out))


def tokens_of(size: tuple[int, int], instruction: Instruction, prices: Prices) -> int:
    """About how many tokens one question has."""
    return prices.image_tokens(*size) + text_tokens(instruction.text + AS_JSON)


def _chip(city: City, station: str) -> tuple[Path, str, tuple[int, int]]:
    chip = city.chip(station)
    if chip is None:
        raise ImageError("it has no chip; run `lecdiff imagery`")
    content = chip.read_bytes()
    image = read_image(content)
    if image.width != image.height or not SMALLEST_CHIP <= image.width <= LARGEST_CHIP:
        raise ImageError(
            f"its chip is {image.width}×{image.height} pixels; it must be square, {SMALLEST_CHIP} to {LARGEST_CHIP} a side"
        )
    return chip, hashlib.sha256(content).hexdigest(), image.size


def _share(city: City, plan: _Plan, result: DescriptionReport) -> None:
    """Give stations the answers that were got for another one with the very same chip."""
    for description in plan.shared:
        append_description(city.path / DESCRIPTIONS_FILE, description)
        result.made += 1
        result.shared += 1


def _content(request: _Request) -> bytes:
    try:
        return read_unchanged(request.chip, request.key.image_sha256)
    except (ImageError, OSError) as error:
        raise FailedError(str(error)) from None


def _ask_model(chat: ChatModel, instruction: Instruction, request: _Request) -> Reply:
    content = _content(request)
    mime_type = MIME_TYPES[read_image(content).format or "JPEG"]
    return chat.describe(content, mime_type, instruction.for_chip(request.metres))


def _offline(request: _Request) -> Reply:
    image = read_image(_content(request))
    seed = int.from_bytes(hashlib.sha256(f"{request.key.image_sha256}:{request.key.n}".encode()).digest()[:4], "big")
    try:
        return Reply(" ".join(describe_offline(image, request.metres / image.width, seed)), 0, 0)
    except UserError as error:
        raise FailedError(str(error)) from None


class _Purse:
    """Counts what was spent, and says when the next question might cost more than the budget allows; thread-safe."""

    def __init__(self, prices: Prices, budget: float | None, instruction: Instruction) -> None:
        self._prices, self._budget, self._instruction = prices, budget, instruction
        self._lock = threading.Lock()
        self._open: dict[_Request, float] = {}
        self.tokens_in = self.tokens_out = 0

    @property
    def cost(self) -> float | None:
        """Dollars so far, None where the price is not known."""
        return self._prices.cost(self.tokens_in, self.tokens_out)

    def open(self, request: _Request) -> None:
        """Set the expected cost of a question aside. Raises StopError where the budget does not allow it."""
        price = self._prices.cost(*self._expected(request)) or 0.0
        with self._lock:
            if self._budget is not None and (self.cost or 0.0) + sum(self._open.values()) + price > self._budget:
                raise StopError(f"the budget of {self._budget:g} USD is used up", asked=False)
            self._open[request] = price

    def pay(self, request: _Request, reply: Reply | None) -> None:
        """Count what the question really took; nothing where no reply came, the expected where the server did not count."""
        expected_in, expected_out = self._expected(request)
        with self._lock:
            del self._open[request]
            if reply is not None:
                self.tokens_in += expected_in if reply.tokens_in is None else reply.tokens_in
                self.tokens_out += expected_out if reply.tokens_out is None else reply.tokens_out

    def _expected(self, request: _Request) -> tuple[int, int]:
        return tokens_of(request.size, self._instruction, self._prices), self._instruction.expected_tokens


class _Desk:
    """Takes one request at a time from the question to the disk; thread-safe."""

    def __init__(self, city: City, describer: Callable[[_Request], Reply], purse: _Purse, room: Room) -> None:
        self._folder, self._describer, self._purse, self._room = city.path, describer, purse, room
        self.full = ""  # why no more can be written
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def close(self) -> None:
        """Ask nothing more; answers under way are still kept."""
        self._closed.set()

    def work(self, request: _Request) -> bool:
        """Make one description; False where the desk was closed. Raises UnusableError, FailedError or StopError."""
        for tries_left in reversed(range(TRIES)):
            if self._closed.is_set():
                return False
            try:
                self._keep(request, self._ask(request))
                break
            except UnusableError as error:
                self._reject(request, error)
                if not tries_left:
                    raise
            except StopError:
                self.close()
                raise
        return True

    def _ask(self, request: _Request) -> Reply:
        self._purse.open(request)
        reply = None
        try:
            reply = self._describer(request)
        except UnusableError as error:
            reply = error.reply
            raise
        finally:
            self._purse.pay(request, reply)
        return reply

    def _keep(self, request: _Request, reply: Reply) -> None:
        sentences = [Sentence(text=text) for text in split_sentences(reply.text)]
        with self._lock:
            for key in request.keys:
                self._append(DESCRIPTIONS_FILE, Description(**key._asdict(), text=reply.text, sentences=sentences))

    def _reject(self, request: _Request, error: UnusableError) -> None:
        with self._lock:
            self._append(REJECTED_FILE, Rejected(**request.key._asdict(), text=error.reply.text, reason=str(error)))

    def _append(self, name: str, record: BaseModel) -> None:
        """Keep a record. Where the disk is full, nothing more is asked, and what is kept goes into the room held for it."""
        try:
            append_record(self._folder / name, record)
        except UserError as error:
            self.full = str(error)
            self.close()
            self._room.give_way()
            try:
                append_record(self._folder / name, record)
            except UserError:
                raise StopError(f"{error}; an answer that was paid for could not be kept", asked=True) from None


def _fail(result: DescriptionReport, plan: _Plan, request: _Request, error: Exception) -> None:
    which = f"description {request.key.n}: " if plan.per_station > 1 else ""
    for key in request.keys:
        result.failed.setdefault(key.station_id, f"{which}{error}")


def _run(
    city: City,
    plan: _Plan,
    describer: Callable[[_Request], Reply],
    purse: _Purse,
    result: DescriptionReport,
    concurrency: int,
    report: Report,
) -> bool:
    """Work through the requests; their outcome goes into `result`. Whether a mistake of the user's stopped them."""
    room = Room(city.path / DESCRIPTIONS_FILE, concurrency + 1)
    desk = _Desk(city, describer, purse, room)
    settled: set[_Request] = set()
    in_a_row, mistaken = 0, False
    executor = ThreadPoolExecutor(concurrency)
    try:
        futures = {executor.submit(desk.work, request): request for request in plan.requests}
        for done, future in enumerate(as_completed(futures), start=1):
            request, stop = futures[future], ""
            try:
                if future.result():
                    settled.add(request)
                    result.made += len(request.keys)
                    result.shared += len(request.keys) - 1
                    in_a_row = 0
            except (UnusableError, FailedError) as error:
                settled.add(request)
                _fail(result, plan, request, error)
                in_a_row = in_a_row + 1 if isinstance(error, FailedError) and error.connection else 0
                stop = str(error) if in_a_row == FAILURES_IN_A_ROW else ""
            except StopError as error:
                stop, mistaken = str(error), mistaken or error.mistake
                if error.asked:
                    settled.add(request)
                    _fail(result, plan, request, error)
            if stop:
                desk.close()
                result.stopped = result.stopped or stop
            if not result.stopped:
                spent = f", {purse.cost:.2f} USD" if purse.cost else ""
                report(done, len(futures), f"description {done} of {len(futures)}{spent}")
    finally:
        desk.close()
        executor.shutdown(wait=True, cancel_futures=True)
        room.give_way()
        result.tokens_in, result.tokens_out, result.cost = purse.tokens_in, purse.tokens_out, purse.cost
    result.stopped = result.stopped or desk.full or None
    result.failed = {station: result.failed[station] for station in city.station_ids if station in result.failed}
    result.undone = list(
        dict.fromkeys(key.station_id for request in plan.requests if request not in settled for key in request.keys)
    )
    return mistaken
