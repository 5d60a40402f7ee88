"""One question to a multimodal model behind an OpenAI-compatible endpoint: a chip and an instruction, an answer or a reason.

The key goes into the request's header and nowhere else: messages of the server are scrubbed of it, redirects are not followed.
"""

import base64
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openai
from pydantic import BaseModel, ConfigDict, Field

from lecdiff_core.addresses import check_url, host_of
from lecdiff_core.environment.descriptions.answers import NoDescriptionError, description_in
from lecdiff_core.environment.descriptions.refusals import REFUSED
from lecdiff_core.environment.descriptions.verdicts import Judgement, verdicts_in
from lecdiff_core.errors import UserError
from lecdiff_core.retries import LONGEST_WAIT, retry_after, retrying

OPENAI_URL = "https://api.openai.com/v1"
LONGEST_ANSWER = 1500  # tokens
LONGEST_WORDS = 200  # characters of a server's own words that are passed on
# What servers that know no structured output say of it, under whatever status.
NOT_STRUCTURED = re.compile(
    r"response_format|json_schema|structured|schema|grammar|max_completion_tokens", re.IGNORECASE
)
SECRETS = re.compile(r"\b(?:sk|pk|key)-[\w*.-]{6,}|\bBearer\s+\S+|data:image/\S+", re.IGNORECASE)
AS_JSON = 'Answer with one JSON object {"sentences": ["…", "…"]} and nothing else.'
AS_VERDICTS = (
    'Answer with one JSON object {"verdicts": [{"sentence": 1, "verdict": "supported", "reason": "…"}]}, one a sentence, '
    "and nothing else."
)


class Answer(BaseModel):
    """The structure of a description."""

    model_config = ConfigDict(extra="forbid")

    sentences: list[str]


class JudgedSentence(BaseModel):
    """The structure of what is judged of one sentence."""

    model_config = ConfigDict(extra="forbid")

    sentence: int
    verdict: Judgement
    reason: str


class Verdicts(BaseModel):
    """The structure of a second look."""

    model_config = ConfigDict(extra="forbid")

    verdicts: list[JudgedSentence]


@dataclass(frozen=True)
class _Form:
    """What is asked for: the structure, the same in words, and how an answer is read, which raises NoDescriptionError."""

    name: str
    schema: type[BaseModel]
    in_words: str
    read: Callable[[str, str], str]


DESCRIPTION = _Form("description", Answer, AS_JSON, description_in)


class _Part(BaseModel):
    text: str = ""


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        """What was said, in one piece."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content).strip()
        return (self.content or "").strip()


class _Choice(BaseModel):
    message: _Message = _Message()
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class _Completion(BaseModel):
    """As much of a chat completion as is read; servers differ in the rest."""

    choices: list[_Choice]
    usage: _Usage | None = None


@dataclass(frozen=True)
class Reply:
    """What was observed back and what it took; None where the server did not count."""

    text: str
    tokens_in: int | None
    tokens_out: int | None


class UnusableError(Exception):
    """An answer that was given (and paid for) but is no description; `reply` is the answer."""

    def __init__(self, reason: str, reply: Reply) -> None:
        super().__init__(reason)
        self.reply = reply


class FailedError(Exception):
    """This question got no answer; others may. `connection`: the server could not be reached or stayed busy."""

    def __init__(self, reason: str, connection: bool = False) -> None:
        super().__init__(reason)
        self.connection = connection


class StopError(Exception):
    """No question will get an answer: key refused, quota used up, no such model.

    mistake: the user's, who can mend it. asked: a question was asked, and found this out.
    """

    def __init__(self, reason: str, mistake: bool = False, asked: bool = True) -> None:
        super().__init__(reason)
        self.mistake, self.asked = mistake, asked


class ChatModel:
    """A model behind an endpoint; thread-safe."""

    def __init__(
        self, model: str, base_url: str | None = None, api_key: str | None = None, timeout: float = 120.0
    ) -> None:
        """Take address and key from what is given, else from LECDIFF_LLM_BASE_URL or OPENAI_BASE_URL, and OPENAI_API_KEY.

        Raises UserError: no key for OpenAI's own service (others may need none), an address that is not http(s).
        """
        url = base_url or os.environ.get("LECDIFF_LLM_BASE_URL") or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        check_url(url, "the model's address")
        self.model, self.host = model, host_of(url)
        self._key = (api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        if not self._key and self.host == host_of(OPENAI_URL):
            raise UserError(
                "there is no key for api.openai.com; set OPENAI_API_KEY, or LECDIFF_LLM_BASE_URL to a server of your own, "
                "or use --provider offline"
            )
        if not self._key.isascii() or any(letter.isspace() for letter in self._key):
            raise UserError("the key in OPENAI_API_KEY has letters that no key has; copy it again")
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=url,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(follow_redirects=False, timeout=timeout),
        )
        self._structured = True

    def __enter__(self) -> "ChatModel":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def describe(self, image: bytes, mime_type: str, instruction: str) -> Reply:
        """Ask for a description, again after a pause where that can help. Raises UnusableError, FailedError or StopError."""
        return self._asked(image, mime_type, instruction, DESCRIPTION)

    def judge(self, image: bytes, mime_type: str, question: str, count: int) -> Reply:
        """Ask what the image says of `count` numbered sentences; the answer is for `verdicts_in`. Raises as `describe`."""

        def read(content: str, _: str) -> str:
            verdicts_in(content, count)
            return content

        return self._asked(image, mime_type, question, _Form("verdicts", Verdicts, AS_VERDICTS, read))

    def _asked(self, image: bytes, mime_type: str, question: str, form: _Form) -> Reply:
        try:
            return retrying(_may_pass, _wait_asked)(lambda: self._ask(image, mime_type, question, form))
        except openai.APIError as error:
            raise self._explained(error) from None
        except ValueError:  # not even HTTP's own form
            raise FailedError(f"the answer of {self.host} is not understood") from None

    def _ask(self, image: bytes, mime_type: str, instruction: str, form: _Form) -> Reply:
        structured = self._structured
        question = f"{instruction}\n\n{form.in_words}"
        url = f"data:{mime_type};base64,{base64.b64encode(image).decode()}"
        content = [
            {"type": "text", "text": question},
            {"type": "image_url", "image_url": {"url": url, "detail": "high"}},
        ]
        messages: Any = [{"role": "user", "content": content}]
        options: dict[str, Any] = {}
        if structured:
            schema = {"name": form.name, "strict": True, "schema": form.schema.model_json_schema()}
            options = {
                "response_format": {"type": "json_schema", "json_schema": schema},
                "max_completion_tokens": LONGEST_ANSWER,
            }
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=self.model, messages=messages, **options
            )
        except openai.APIStatusError as error:
            if not structured or not _may_be_the_structure(error):
                raise
            return self._ask_in_words(image, mime_type, instruction, form)
        try:
            return read_completion(response.content, question, form.read)
        except ValueError:
            words = self._scrubbed(response.content.decode("utf-8", "replace"))
            raise FailedError(f"the answer of {self.host} is not understood{words}") from None

    def _ask_in_words(self, image: bytes, mime_type: str, instruction: str, form: _Form) -> Reply:
        """Ask a server that seems to know no structured output; where that works it is asked so from now on."""
        self._structured = False
        try:
            return self._ask(image, mime_type, instruction, form)
        except openai.APIStatusError:
            self._structured = True
            raise

    def _explained(self, error: openai.APIError) -> Exception:
        if isinstance(error, openai.APITimeoutError):
            return FailedError(f"{self.host} timed out", connection=True)
        if isinstance(error, openai.APIConnectionError):
            return FailedError(f"no connection to {self.host}", connection=True)
        if not isinstance(error, openai.APIStatusError):
            return FailedError(f"the answer of {self.host} is not understood")
        status, words = error.status_code, self._scrubbed(error.response.text)
        if _is_quota(error):
            return StopError(f"the quota at {self.host} is used up{words}; raise it, then run again to go on")
        if status in (401, 403):
            return StopError(
                f"the key was refused by {self.host} ({status}){words}; check OPENAI_API_KEY", mistake=True
            )
        if status == 404:
            return StopError(
                f"{self.host} has no model {self.model!r} at this address (404){words}; check --model and the address",
                mistake=True,
            )
        if 300 <= status < 400:
            return StopError(f"{self.host} redirects to another address; give that one as base URL", mistake=True)
        if status == 429 or status >= 500:
            return FailedError(f"{self.host} stayed busy (HTTP {status}){words}", connection=True)
        return FailedError(f"{self.host} refused the request (HTTP {status}){words}")

    def _scrubbed(self, body: str) -> str:
        """The server's own words, after a colon: on one line, bounded, without the key."""
        words = _words_of(body)
        words = words.replace(self._key, "…") if self._key else words
        words = " ".join("".join(letter if letter.isprintable() else " " for letter in SECRETS.sub("…", words)).split())
        return f": {words[:LONGEST_WORDS]}" if words else ""


def read_completion(body: bytes, asked: str = "", read: Callable[[str, str], str] = description_in) -> Reply:
    """The description in the body of a chat completion, or what else `read` takes an answer for.

    asked: the question; an answer that only repeats it is none. Raises ValueError where the body is no completion, and
    UnusableError: empty, cut off, refused, malformed, not English.
    """
    completion = _Completion.model_validate_json(body)
    used = (completion.usage.prompt_tokens, completion.usage.completion_tokens) if completion.usage else (None, None)
    choice = completion.choices[0] if completion.choices else _Choice()
    raw = Reply(choice.message.text, *used)
    if choice.finish_reason == "length":
        raise UnusableError("the answer was cut off", raw)
    if choice.finish_reason == "content_filter" or choice.message.refusal:
        raise UnusableError(REFUSED, raw)
    try:
        return Reply(read(raw.text, asked), *used)
    except NoDescriptionError as error:
        raise UnusableError(str(error), raw) from None


def _words_of(body: str) -> str:
    """What a server says of an error, in JSON of several shapes, in HTML or in plain words."""
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", body[:20_000], flags=re.DOTALL | re.IGNORECASE)
    for _ in range(4):
        message = message[0] if isinstance(message, list) and message else message
        if not isinstance(message, dict):
            break
        message = next(
            (message[name] for name in ("error", "message", "detail", "msg", "reason") if message.get(name)), ""
        )
    return message if isinstance(message, str) else ""


def _may_be_the_structure(error: openai.APIStatusError) -> bool:
    """Whether a refusal may be one of structured output, which many servers do not know."""
    status = error.status_code
    return status in (400, 422) or (
        status in (404, 405, 415, 500, 501) and bool(NOT_STRUCTURED.search(error.response.text))
    )


def _is_quota(error: openai.APIError) -> bool:
    status = getattr(error, "status_code", None)
    return status == 402 or (status == 429 and "insufficient_quota" in (error.code, error.type))


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, openai.APIConnectionError):
        return True
    if not isinstance(error, openai.APIStatusError) or _is_quota(error):
        return False
    return (error.status_code in (408, 409, 429) or error.status_code >= 500) and _wait_asked(error) <= LONGEST_WAIT


def _wait_asked(error: BaseException) -> float:
    return retry_after(error.response.headers.get("retry-after")) if isinstance(error, openai.APIStatusError) else 0.0
