"""Regular filters: boilerplate, meta talk, speculation, names, numbers and repetition, removed whatever the image shows.

The patterns and their reasons are data, in `rules/filters.toml`; here is what a pattern can't say: names and repetition.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from tomllib import loads
from typing import Any

from lecdiff_core.environment.refinement.english import is_english
from lecdiff_core.environment.refinement.evidence import Evidence

Pattern = re.Pattern[str]


@dataclass(frozen=True)
class Drop:
    """A pattern that removes what it is found in, with the reason; `unless` another pattern is in the whole sentence."""

    words: Pattern
    reason: str
    unless: Pattern | None = None


@dataclass(frozen=True)
class Landmark:
    """A landmark whose shape can be seen, and the evidence that it needs."""

    words: Pattern
    needs: str
    reason: str


@dataclass(frozen=True)
class FilterRules:
    """`rules/filters.toml`, compiled."""

    strips: tuple[tuple[Pattern, str], ...]
    drops: tuple[Drop, ...]
    landmarks: tuple[Landmark, ...]
    max_text: int
    max_sentence: int
    duplicate: float
    not_names: frozenset[str]


@cache
def filter_rules() -> FilterRules:
    """Read and compile the shipped rules, once."""
    return compile_filters(
        loads((files("lecdiff_core.environment.refinement") / "rules" / "filters.toml").read_text("utf-8"))
    )


def compile_filters(data: Mapping[str, Any]) -> FilterRules:
    """Compile rules in the form of `filters.toml`."""
    return FilterRules(
        strips=tuple((re.compile(entry["pattern"], re.IGNORECASE), entry["reason"]) for entry in data["strip"]),
        drops=tuple(
            Drop(
                re.compile(entry["pattern"], re.IGNORECASE),
                entry["reason"],
                re.compile(entry["unless"], re.IGNORECASE) if "unless" in entry else None,
            )
            for entry in data["drop"]
        ),
        landmarks=tuple(
            Landmark(re.compile(entry["words"], re.IGNORECASE), entry["needs"], entry["reason"])
            for entry in data["landmark"]
        ),
        max_text=data["max_text"],
        max_sentence=data["max_sentence"],
        duplicate=data["duplicate"],
        not_names=frozenset(data["words"]["not_names"].split()),
    )


def strip_leads(sentence: str, rules: FilterRules) -> tuple[list[tuple[str, str]], str]:
    """Take off list marks and meta lead-ins: the removed parts with their reasons, and what is left, beginning with a capital."""
    removed: list[tuple[str, str]] = []
    for pattern, reason in rules.strips:
        for part in pattern.findall(sentence):
            removed.append((part.strip(), reason))
        sentence = pattern.sub("", sentence).strip()
    if removed and sentence:
        sentence = sentence[0].upper() + sentence[1:]
    return [part for part in removed if part[0]], sentence


def sentence_fault(sentence: str, earlier: Sequence[str], rules: FilterRules) -> str | None:
    """Why a whole sentence can't stand: too long, another language, or a repetition of an earlier one; None if it can."""
    if len(sentence) > rules.max_sentence:
        return f"longer than {rules.max_sentence} characters: too long to be checked"
    if not any(character.isalpha() for character in sentence):
        return "no words"
    if not is_english(sentence) and (len(_words(sentence)) >= 10 or not sentence.isascii()):
        return "not in English"
    words = set(_words(sentence))
    for other in earlier:
        before = set(_words(other))
        if words and len(words & before) / len(words | before) >= rules.duplicate:
            return "repeats an earlier sentence"
    return None


def clause_fault(
    clause: str, sentence: str, rules: FilterRules, evidence: Evidence, names: Sequence[str]
) -> str | None:
    """Why a clause of a sentence can't stand, by the patterns and by names that nothing given supports; None if it can."""
    for drop in rules.drops:
        if drop.words.search(clause) is None:
            continue
        if drop.unless is not None and drop.unless.search(sentence):
            continue
        return drop.reason
    for landmark in rules.landmarks:
        match = landmark.words.search(clause)
        if match is None or _LIKENED.search(clause[: match.start()]):
            continue
        if not has_shape(landmark.needs, evidence):
            return landmark.reason
    if name := invented_name(clause, sentence.startswith(clause), rules, names):
        return f"a name that the image can't show ({name})"
    return None


def has_shape(needs: str, evidence: Evidence) -> bool:
    """Whether the chip has what a landmark needs: a "pitch", a "runway", "water" or "green"."""
    if needs == "water":
        return evidence.share("water") >= 0.05
    if needs == "green":
        return evidence.share("vegetation") >= 0.35
    if needs == "runway":
        return evidence.share("open") >= 0.4 and any(line.contrast >= 6 for line in evidence.lines)
    return evidence.has_pitch


_LIKENED = re.compile(r"\b(?:resembl\w+|like|similar to|typical of|reminiscent of)\b", re.IGNORECASE)
_NAME = re.compile(r"(?<![.!?:;\"“(])\s+([A-ZÀ-Þ][\w'’-]+)")
_POSSESSIVE = re.compile(r"\b([A-Z]\w+)['’]s\b")


def invented_name(clause: str, starts: bool, rules: FilterRules, known: Sequence[str] = ()) -> str | None:
    """Return the first proper name in a clause that is not among the known ones. A sentence's first word is not judged."""
    allowed = rules.not_names | {word.lower() for name in known for word in name.split()}
    if match := _POSSESSIVE.search(clause):
        return None if match.group(1).lower() in allowed | {"one", "it", "there", "that", "let"} else match.group(1)
    for match in _NAME.finditer(clause if starts else " " + clause):
        word = match.group(1)
        shape = len(word.split("-")[0]) == 1  # "U-shaped", "L-shaped"
        if not shape and word.lower() not in allowed and word.split("-")[0].lower() not in allowed:
            return word
    return None


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())
