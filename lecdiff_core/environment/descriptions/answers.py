"""The description in what a language model answered: out of fences, thoughts and JSON of many shapes, or why there is none.

Models behind local servers wrap their answers in whatever they were trained on. What can be read without guessing is read;
JSON that cannot be read is never taken for prose.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from lecdiff_core.environment.descriptions.refusals import REFUSED, is_refusal
from lecdiff_core.environment.refinement.english import is_english

LONGEST = 20_000  # characters of an answer that are looked at
MOST_STARTS = 50  # brackets that may begin JSON
DEEPEST = 6  # lists and objects within each other
LEAST_WORDS = 2  # of a sentence; what is shorter is a label
ECHO_WORDS, ECHO_SHARE = 5, 0.8  # so many words in a row, and so many of these rows, are the instruction's

# Names under which models give the description, the best first.
NAMES = (
    *("sentences", "sentence", "descriptions", "description", "text", "caption", "captions", "summary", "content"),
    *("answer", "response", "output", "result", "results", "final", "data", "properties"),
)
REFUSAL_NAMES = ("refusal", "error")

_CHANNELS = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|start|channel|call)\|>|\Z)", re.DOTALL
)
_THOUGHT_NAME = r"(?:think|thinking|thought|thoughts|reasoning|reason|reflection|analysis|scratchpad)"
_THOUGHT = re.compile(rf"[<\[◁]({_THOUGHT_NAME})\b[^>\]▷]*[>\]▷].*?[<\[◁]/\1\s*[>\]▷]", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(rf"[<\[◁]/{_THOUGHT_NAME}\s*[>\]▷]", re.IGNORECASE)
_THOUGHT_START = re.compile(rf"[<\[◁]{_THOUGHT_NAME}\b[^>\]▷]*[>\]▷]", re.IGNORECASE)
_MARKER = re.compile(r"<\|[\w ]{1,40}\|>|</?(?:answer|output|response|final|s)>", re.IGNORECASE)
_FENCE = re.compile(
    r"(?P<mark>`{3,}|~{3,})[ \t]*[\w+.-]*[ \t]*\r?\n?(?P<inside>.*?)(?:\r?\n?[ \t]*(?P=mark)|\Z)", re.DOTALL
)
_LIKE_JSON = re.compile(r"[{\[]\s*[\"'“{\[}\]]|[{,]\s*[\"'“]?(?:sentences|description)[\"'”]?\s*:")
_BRACKET = re.compile(r"[{\[]")
_STRING_OR_BRACKET = re.compile(r"\"(?:\\.|[^\"\\])*\"|//[^\n]*|/\*.*?\*/|[{}\[\]]", re.DOTALL)
_PREFACE = re.compile(
    r"(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[^.!:\n]{0,80}[.!:,]\s*)?"
    r"(?:(?:here(?:'s| is| are)|below (?:is|are)|the following (?:is|are)|(?:the )?(?:description|answer|sentences))\b"
    r"[^.!\n]{0,120}:)?",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:[-*+•–]|\(?\d{1,2}[.):])\s+|^\s*#{1,6}\s+|^>\s+", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")


class NoDescriptionError(Exception):
    """An answer that is no description, with the reason in a few words."""


def description_in(content: str, instruction: str = "") -> str:
    """The description in a model's answer, in plain words.

    instruction: what was asked; an answer that only repeats it is none. Raises NoDescriptionError: empty, thoughts alone,
    malformed, refused, repeating the question, too long, not English.
    """
    if len(content) > LONGEST:
        raise NoDescriptionError(f"the answer is too long ({len(content):,} characters)")
    answer = without_thoughts(content)
    if not answer:
        raise NoDescriptionError("the answer is empty" if not content.strip() else "the answer is thoughts alone")
    if instruction and _repeats(answer, instruction):
        raise NoDescriptionError("the answer only repeats the question")
    text = _text_of(answer)
    if not text:
        raise NoDescriptionError("the answer is empty")
    if is_refusal(text):
        raise NoDescriptionError(REFUSED)
    if not is_english(text):
        raise NoDescriptionError("not English")
    return text


def without_thoughts(content: str) -> str:
    """The answer after what a reasoning model thought aloud; empty where it never came to an answer."""
    channels = _CHANNELS.findall(content)
    if channels:
        content = next((said for name, said in reversed(channels) if name.lower() == "final"), "")
    content = _THOUGHT.sub(" ", content)
    content = _THOUGHT_END.split(content)[-1]  # some templates put the opening mark into the question
    return _MARKER.sub(" ", _THOUGHT_START.split(content)[0]).strip()


def values_in(answer: str) -> Iterator[Any]:
    """Every outermost JSON object and list of an answer, those in fences first."""
    for fence in _FENCE.finditer(answer):
        yield from _values(fence["inside"].strip())
    yield from _values(answer)


def _text_of(answer: str) -> str:
    """The text of JSON in the answer, else the answer's own words."""
    insides = [fence["inside"].strip() for fence in _FENCE.finditer(answer)]
    for part in [*insides, answer]:
        if text_in_part := _from_json(part):
            return text_in_part
    plain = _FENCE.sub(lambda fence: f"\n{fence['inside']}\n", answer) if insides else answer
    if _LIKE_JSON.search(plain):
        if any(not _has_words(value) for value in _values(plain)):
            raise NoDescriptionError("the answer is empty")
        raise NoDescriptionError("the answer is malformed")
    return _from_prose(plain)


def _from_json(text: str) -> str:
    """The sentences of the JSON in a text, of several that are there the last that is named so; empty where it has none."""
    candidates = [(value, sentences) for value in _values(text) if (sentences := _sentences(value))]
    named = [sentences for value, sentences in candidates if isinstance(value, dict) and "sentences" in value]
    chosen = named[-1] if named else [sentence for _, sentences in candidates for sentence in sentences]
    return " ".join(dict.fromkeys(chosen))


def _values(text: str) -> Iterator[Any]:
    """Every outermost JSON object and list in a text, also with comments, trailing commas or single quotes."""
    position = 0
    for _ in range(MOST_STARTS):
        start = _BRACKET.search(text, position)
        if start is None:
            break
        end = _end_of(text, start.start())
        value = None if end is None else _parsed(text[start.start() : end])
        if value is not None:
            yield value
        position = start.end() if value is None or end is None else end
    if text.startswith('"') and isinstance(inner := _parsed(text), str):  # JSON that was made a string once more
        yield from _values(inner)


def _end_of(text: str, start: int) -> int | None:
    """Where the bracket at `start` is closed, None where it never is; brackets in strings and comments do not count."""
    depth = 0
    for mark in _STRING_OR_BRACKET.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.end()
    return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    import json5

    try:
        return json5.loads(text.translate({0x201C: '"', 0x201D: '"'}), strict=False)
    except (ValueError, RecursionError):
        return None


def _sentences(value: Any, depth: int = 0) -> list[str]:
    """The sentences in a JSON value, by the names models use, else whatever reads like one."""
    if depth > DEEPEST:
        return []
    if isinstance(value, str):
        line = " ".join(value.split())
        return [line] if len(re.findall(r"[^\W\d_]+", line)) >= LEAST_WORDS else []
    if isinstance(value, list):
        return [sentence for item in value for sentence in _sentences(item, depth + 1)]
    if not isinstance(value, dict):
        return []
    names = {str(name).strip().lower(): item for name, item in value.items()}
    for name in NAMES:
        if sentences := _sentences(names.get(name), depth + 1):
            return sentences
    if any(names.get(name) for name in REFUSAL_NAMES):
        raise NoDescriptionError(REFUSED)
    return [sentence for item in value.values() for sentence in _sentences(item, depth + 1)]


def _has_words(value: Any) -> bool:
    """Whether a value holds any text at all."""
    if isinstance(value, dict):
        return any(map(_has_words, value.values()))
    if isinstance(value, list):
        return any(map(_has_words, value))
    return bool(re.search(r"\w", str(value))) if value is not None else False


def _from_prose(text: str) -> str:
    """Plain words without a model's opening phrase, bullets and bold type."""
    text = _EMPHASIS.sub(r"\2", _BULLET.sub("", text.strip()))
    text = text[opening.end() :] if (opening := _PREFACE.match(text)) else text
    return text.strip().strip("\"“”'").strip()


def _repeats(text: str, instruction: str) -> bool:
    asked, said = _words(instruction), _words(text)
    rows = {tuple(asked[i : i + ECHO_WORDS]) for i in range(len(asked) - ECHO_WORDS + 1)}
    own = [tuple(said[i : i + ECHO_WORDS]) for i in range(len(said) - ECHO_WORDS + 1)]
    return bool(own) and sum(row in rows for row in own) >= ECHO_SHARE * len(own)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
