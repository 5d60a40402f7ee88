"""What a model judged of numbered sentences: verdicts and reasons out of JSON, fences, thoughts or plain lines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lecdiff_core.environment.descriptions.answers import NoDescriptionError, values_in, without_thoughts
from lecdiff_core.environment.descriptions.refusals import REFUSED, is_refusal

Judgement = Literal["supported", "contradicted", "unclear"]

LONGEST_REASON = 200  # characters
NUMBERS = ("sentence", "number", "n", "no", "id", "index", "sentence_number")
JUDGEMENTS = ("verdict", "judgement", "judgment", "label", "answer", "result", "supported", "true", "correct", "value")
REASONS = ("reason", "explanation", "why", "because", "comment", "evidence")
_SUPPORTED = frozenset(["supported", "support", "true", "yes", "correct", "right", "visible", "confirmed", "ok"])
_CONTRADICTED = frozenset(
    ["contradicted", "contradiction", "false", "no", "incorrect", "wrong", "unsupported", "refuted"]
)
_LINE = re.compile(
    r"^\W*(?:sentence\s*)?(\d{1,3})\s*[.):\-–]+\s*\W*(supported|contradicted|unclear|true|false|yes|no|correct|incorrect)\b\W*(.*)$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Verdict:
    """What was judged of one sentence, and why, in the model's own words: data, on one line and bounded."""

    judgement: Judgement
    reason: str = ""


def verdicts_in(content: str, count: int) -> dict[int, Verdict]:
    """The verdicts on sentences 1 to `count` in a model's answer; a sentence that is not judged has none.

    Raises NoDescriptionError: empty, thoughts alone, refused, or no verdict at all.
    """
    answer = without_thoughts(content)
    if not answer:
        raise NoDescriptionError("the answer is empty" if not content.strip() else "the answer is thoughts alone")
    verdicts = {number: verdict for number, verdict in _judged(answer, count) if 1 <= number <= count}
    if verdicts:
        return verdicts
    raise NoDescriptionError(REFUSED if is_refusal(answer) else "the answer has no verdicts")


def _judged(answer: str, count: int) -> list[tuple[int, Verdict]]:
    for value in values_in(answer):
        items = _items(value)
        judged = [(_number(item, place), _verdict(item)) for place, item in enumerate(items, start=1)]
        verdicts = [(number, verdict) for number, verdict in judged if number is not None and verdict is not None]
        if verdicts and (len(items) == count or any(isinstance(item, Mapping) for item in items)):
            return verdicts
    return [(int(line[1]), Verdict(_judgement(line[2]), _short(line[3]))) for line in _LINE.finditer(answer)]


def _items(value: Any) -> list[Any]:
    """The list of verdicts in a JSON value: itself, under any name, or an object by number."""
    if isinstance(value, list):
        return value
    if not isinstance(value, Mapping):
        return []
    if lists := [part for part in value.values() if isinstance(part, list)]:
        return max(lists, key=len)
    if value and all(str(name).strip().isdecimal() for name in value):
        return [
            {"sentence": name, **(part if isinstance(part, Mapping) else {"verdict": part})}
            for name, part in value.items()
        ]
    return [value] if any(name in value for name in JUDGEMENTS) else []


def _number(item: Any, place: int) -> int | None:
    """Which sentence is meant: by its number, or by its place in the list."""
    if not isinstance(item, Mapping):
        return place
    named = next((item[name] for name in NUMBERS if name in item), place)
    digits = re.search(r"\d{1,6}", str(named))
    return int(digits[0]) if digits else place


def _verdict(item: Any) -> Verdict | None:
    if not isinstance(item, Mapping):
        return Verdict(_judgement(item)) if isinstance(item, str | bool) else None
    judged = next((item[name] for name in JUDGEMENTS if name in item), None)
    reason = next((item[name] for name in REASONS if isinstance(item.get(name), str)), "")
    return None if judged is None else Verdict(_judgement(judged), _short(reason))


def _judgement(value: Any) -> Judgement:
    if isinstance(value, bool):
        return "supported" if value else "contradicted"
    words = re.findall(r"[a-z]+", str(value).lower())
    if "not" in words or "partly" in words or "partially" in words:
        return "unclear"
    first = words[0] if words else ""
    return "supported" if first in _SUPPORTED else "contradicted" if first in _CONTRADICTED else "unclear"


def _short(reason: str) -> str:
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in reason).split())
    return plain[:LONGEST_REASON].rstrip(" .")
