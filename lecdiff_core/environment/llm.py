"""One question to a multimodal model behind an OpenAI-compatible endpoint: a chip and an instruction, an answer or a reason.

The key goes into the request's header and nowhere else: messages of the server are scrubbed of it, redirects are not followed.
"""

import base64
import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import Any

import openai
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from lecdiff_core.environment.english import is_english
from lecdiff_core.environment.web import check_url, host_of
from lecdiff_core.errors import UserError

OPENAI_URL = "https://api.openai.com/v1"
ATTEMPTS = 5
LONGEST_WAIT = 120.0  # seconds
BACK_OFF = wait_exponential_jitter(multiplier=1.0, max=30, jitter=1.0)
LONGEST_ANSWER = 1500  # tokens
AS_JSON = 'Answer with one JSON object {"sentences": ["…", "…"]} and nothing else.'


class Answer(BaseModel):
    """The structure asked for."""

    model_config = ConfigDict(extra="forbid")

    sentences: list[str]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


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
    """What came back and what it took; None where the server did not count."""

    text: str
    tokens_in: int | None
    tokens_out: int | None


class UnusableError(Exception):
    """An answer that came (and was paid for) but is no description; `reply` is what came."""

    def __init__(self, reason: str, reply: Reply) -> None:
        super().__init__(reason)
        self.reply = reply


class FailedError(Exception):
    """This question got no answer; others may. `connection`: the server could not be reached or stayed busy."""

    def __init__(self, reason: str, connection: bool = False) -> None:
        super().__init__(reason)
        self.connection = connection


class StopError(Exception):
    """No question will get an answer: key refused, quota used up, no such model."""


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
        """Ask once, again after a pause where that can help. Raises UnusableError, FailedError or StopError."""
        retrying = Retrying(
            retry=retry_if_exception(_may_pass), stop=stop_after_attempt(ATTEMPTS), wait=_wait, reraise=True
        )
        try:
            return retrying(lambda: self._ask(image, mime_type, instruction))
        except openai.APIError as error:
            raise self._explained(error) from None
        except ValueError:
            raise FailedError("the server's answer is not understood") from None

    def _ask(self, image: bytes, mime_type: str, instruction: str) -> Reply:
        structured = self._structured
        url = f"data:{mime_type};base64,{base64.b64encode(image).decode()}"
        content = [
            {"type": "text", "text": f"{instruction}\n\n{AS_JSON}"},
            {"type": "image_url", "image_url": {"url": url, "detail": "high"}},
        ]
        messages: Any = [{"role": "user", "content": content}]
        options: dict[str, Any] = {}
        if structured:
            schema = {"name": "description", "strict": True, "schema": Answer.model_json_schema()}
            options = {
                "response_format": {"type": "json_schema", "json_schema": schema},
                "max_completion_tokens": LONGEST_ANSWER,
            }
        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=self.model, messages=messages, **options
            )
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            if not structured:
                raise
            self._structured = False  # the server knows no structured output: ask in words only, from now on
            return self._ask(image, mime_type, instruction)
        return read_completion(response.content)

    def _explained(self, error: openai.APIError) -> Exception:
        if isinstance(error, openai.APITimeoutError):
            return FailedError(f"{self.host} timed out", connection=True)
        if isinstance(error, openai.APIConnectionError):
            return FailedError(f"no connection to {self.host}", connection=True)
        if _is_quota(error):
            return StopError(f"the quota at {self.host} is used up; raise it, then run again to go on")
        if not isinstance(error, openai.APIStatusError):
            return FailedError("the server's answer is not understood")
        status = error.status_code
        if status in (401, 403):
            return StopError(f"the key was refused by {self.host} ({status}); check OPENAI_API_KEY")
        if status == 404:
            return StopError(f"{self.host} has no model {self.model!r} at this address (404)")
        if 300 <= status < 400:
            return StopError(f"{self.host} redirects to another address; give that one as base URL")
        if status == 429 or status >= 500:
            return FailedError(f"{self.host} stayed busy (HTTP {status})", connection=True)
        return FailedError(f"{self.host} refused the request (HTTP {status}): {self._scrubbed(error.message)}")

    def _scrubbed(self, message: str) -> str:
        text = " ".join(message.split())
        return (text.replace(self._key, "…") if self._key else text)[:200]


def read_completion(body: bytes) -> Reply:
    """The description in the body of a chat completion.

    Raises ValueError where it is none, and UnusableError: empty, cut off, refused, malformed, not English.
    """
    completion = _Completion.model_validate_json(body)
    used = (completion.usage.prompt_tokens, completion.usage.completion_tokens) if completion.usage else (None, None)
    choice = completion.choices[0] if completion.choices else _Choice()
    content = (choice.message.content or "").strip()
    raw = Reply(content, *used)
    if choice.finish_reason == "length":
        raise UnusableError("the answer was cut off", raw)
    if choice.finish_reason == "content_filter" or choice.message.refusal:
        raise UnusableError("the model refused to describe it", raw)
    text = _sentences_of(content, raw)
    if not text:
        raise UnusableError("the answer is empty", raw)
    if not is_english(text):
        raise UnusableError("not English", raw)
    return Reply(text, *used)


def _sentences_of(content: str, raw: Reply) -> str:
    """The text of a JSON answer, or of one in plain words."""
    if fenced := re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", content, re.DOTALL):
        content = fenced[1]
    if not content.startswith(("{", "[")):
        return content
    try:
        answer = Answer.model_validate(json.loads(content))
    except (ValueError, ValidationError, RecursionError):
        raise UnusableError("the answer is malformed", raw) from None
    return " ".join(sentence.strip() for sentence in answer.sentences if sentence.strip())


def _is_quota(error: openai.APIError) -> bool:
    status = getattr(error, "status_code", None)
    return status == 402 or (status == 429 and "insufficient_quota" in (error.code, error.type))


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, openai.APIConnectionError):
        return True
    if not isinstance(error, openai.APIStatusError) or _is_quota(error):
        return False
    return (error.status_code in (408, 409, 429) or error.status_code >= 500) and _wish(error) <= LONGEST_WAIT


def _wish(error: openai.APIStatusError) -> float:
    with contextlib.suppress(ValueError):
        return max(0.0, float(error.response.headers.get("retry-after", 0)))
    return 0.0


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return max(BACK_OFF(state), _wish(error) if isinstance(error, openai.APIStatusError) else 0.0)
