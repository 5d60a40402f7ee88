"""A polite client for a server that may be slow, busy, broken or hostile.

Requests start at a bounded rate over all threads and are repeated after a growing pause where that can help, as late as
the server's `Retry-After` asks. Bodies are bounded, and a redirect never leads to another host or another scheme. Where hosts are
restricted, a name is looked up once and the connection goes to the address that was looked at.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx

from lecdiff_core.addresses import AllowedHosts, refused
from lecdiff_core.retries import LONGEST_WAIT, retry_after, retrying

LARGEST_BODY = 4 * 1024 * 1024
SLOWEST_BODY = 60.0  # seconds
REDIRECTS = 3
BUSY = (408, 425, 429, 500, 502, 503, 504)

Result = TypeVar("Result")


class WebError(Exception):
    """An answer that will not come, with the reason in a few words and no address in it."""


class PassingError(WebError):
    """One that may come when asked again; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Web:
    """Keeps the rate and the connections; thread-safe. Use as a context manager."""

    def __init__(self, per_second: float = 10.0, timeout: float = 20.0, allowed: AllowedHosts | None = None) -> None:
        """allowed: hosts that may be asked; None where the addresses are the operator's own."""
        self._allowed = allowed
        self._behind: dict[tuple[str, int | None], str] = {}  # the address behind each host and port, looked up once
        self._gap = 1.0 / per_second
        self._next = time.monotonic()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._client = httpx.Client(
            timeout=timeout, follow_redirects=False, headers={"User-Agent": "lecdiff", "Accept-Encoding": "identity"}
        )

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def stop(self) -> None:
        """Make every request that waits give up now."""
        self._stopped.set()

    def get(self, url: str, accept: Callable[[bytes], Result], largest: int = LARGEST_BODY) -> Result:
        """Return `accept(body)`, which may raise WebError too. Raises WebError, after up to 4 attempts."""
        attempts = retrying(
            lambda error: isinstance(error, PassingError),
            lambda error: error.wait if isinstance(error, PassingError) else 0.0,
            sleep=self._sleep,
            stopped=self._stopped.is_set,
        )
        return attempts(lambda: accept(self._fetch(url, largest)))

    def _sleep(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def _wait_for_turn(self) -> None:
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + self._gap
        if self._stopped.wait(max(0.0, start - time.monotonic())):
            raise WebError("not asked: the run was stopped")

    def _hold_back(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def _fetch(self, url: str, largest: int) -> bytes:
        try:
            asked = httpx.URL(url)
            for _ in range(REDIRECTS + 1):
                request = self._request(asked)
                self._wait_for_turn()
                response = self._client.send(request, stream=True)
                try:
                    if not response.has_redirect_location:
                        return self._body(response, largest)
                    redirected = asked.join(response.headers["Location"])
                    _check_same_origin(asked, redirected)
                    asked = redirected
                finally:
                    response.close()
        except httpx.TimeoutException:
            raise PassingError("timed out") from None
        except httpx.RemoteProtocolError as error:
            if "without" in str(error):
                raise PassingError("the connection ended before the answer was complete") from None
            raise WebError("the answer is not understood") from None
        except httpx.TransportError as error:
            raise PassingError(f"no connection ({type(error).__name__})") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WebError(f"the request failed ({type(error).__name__})") from None
        raise WebError("too many redirects")

    def _request(self, url: httpx.URL) -> httpx.Request:
        """A request to a host that may be asked, at the address that was looked at. Raises WebError."""
        if self._allowed is None:
            return self._client.build_request("GET", url)
        place = (url.host, url.port)
        with self._lock:
            if place not in self._behind:
                reachable = self._allowed.addresses(str(url))
                if not reachable:
                    raise WebError(refused(str(url)))
                self._behind[place] = reachable[0]
        return self._client.build_request(
            "GET",
            url.copy_with(host=self._behind[place]),
            headers={"Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )

    def _body(self, response: httpx.Response, largest: int) -> bytes:
        if response.status_code in BUSY:
            wait = retry_after(response.headers.get("Retry-After"))
            if wait > LONGEST_WAIT:
                raise WebError(f"HTTP {response.status_code}: the server asks to come back in {wait:.0f} s")
            self._hold_back(wait)
            raise PassingError(f"HTTP {response.status_code}", wait)
        if response.status_code != 200:
            raise WebError(f"HTTP {response.status_code}")
        deadline = time.monotonic() + SLOWEST_BODY
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > largest:
                raise WebError(f"the answer is larger than {largest // 1024} KiB")
            if time.monotonic() > deadline:
                raise PassingError("timed out")
        return bytes(body)


def redacted(url: str) -> str:
    """The address without what may be secret in its query: only values with a {placeholder} are kept."""
    parts = urlsplit(url)
    query = "&".join(
        f"{name}={value if '{' in value else '…'}" for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return parts._replace(query=query, fragment="").geturl()


def _check_same_origin(asked: httpx.URL, redirected: httpx.URL) -> None:
    if (asked.scheme, asked.host, asked.port) != (redirected.scheme, redirected.host, redirected.port):
        raise WebError(f"the server redirects to another place ({redirected.scheme}://{redirected.host})")
