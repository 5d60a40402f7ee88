"""How a server is asked again where that can help: up to 4 times, after a growing pause, as late as its `Retry-After` asks."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

ATTEMPTS = 4
LONGEST_WAIT = 120.0  # seconds that a server may ask to wait before the request is given up
BACK_OFF = wait_exponential_jitter(multiplier=1.0, max=30, jitter=1.0)


def retrying(
    may_pass: Callable[[BaseException], bool],
    wait_asked: Callable[[BaseException], float],
    sleep: Callable[[float], None] = time.sleep,
    stopped: Callable[[], bool] = lambda: False,
) -> Retrying:
    """Call a function again while its error may pass, and raise the last one.

    wait_asked: seconds that the server asks to wait, 0 where it says nothing. stopped: whether to give up now.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(BACK_OFF(state), wait_asked(error) if error else 0.0)

    return Retrying(
        retry=retry_if_exception(may_pass),
        stop=lambda state: stopped() or stop_after_attempt(ATTEMPTS)(state),
        wait=wait,
        sleep=sleep,
        reraise=True,
    )


def retry_after(header: str | None) -> float:
    """Seconds from now that a `Retry-After` header asks to wait, given as seconds or as a date; 0 for none or nonsense.

    >>> retry_after("7"), retry_after(None), retry_after("soon")
    (7.0, 0.0, 0.0)
    """
    if not header:
        return 0.0
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
