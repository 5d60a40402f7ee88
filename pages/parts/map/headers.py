"""Headers on every answer of the app's server: what its pages may load, who may frame them.

The policy names what Streamlit, the map and the tile servers of the cities need, and nothing else, so that a text that slipped
through all escaping still loads and runs nothing.
"""

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lecdiff_core.addresses import host_of
from pages.parts.data import cities
from pages.parts.map import basemap

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
INDEX = Path(st.__file__).parent / "static" / "index.html"


class SecurityHeaders:
    """Puts the headers on every answer that has none of its own of that name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the app does, with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = ALWAYS | {"Content-Security-Policy": await run_in_threadpool(policy)}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in added.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


@st.cache_resource(ttl=10, show_spinner=False)
def policy() -> str:
    """The content security policy: this server, and the tile servers of the cities there are, and of those that come in."""
    templates = {basemap.arcgis(), *(basemap.template_of(place.path) for place in cities.places())}
    tiles = sorted({origin for template in templates for origin in _origins(template)})
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "blob:", "'wasm-unsafe-eval'", *_inline_scripts()],
        "worker-src": ["'self'", "blob:"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "img-src": ["'self'", "data:", "blob:", *tiles],
        "media-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'", "data:", "blob:", *tiles],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'self'"],
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


def _origins(template: str | None) -> list[str]:
    """The tile server of an address template, as an origin; none where it has none."""
    host = host_of(template or "")
    if not template or not host:
        return []
    parts = urlsplit(template)
    shown = f"[{host}]" if ":" in host else host
    return [f"{parts.scheme}://{shown}{f':{parts.port}' if parts.port else ''}"]


def _inline_scripts() -> list[str]:
    """The scripts that Streamlit writes into its page, by their hashes."""
    scripts = re.findall(r"<script>(.*?)</script>", INDEX.read_text(encoding="utf-8"), re.DOTALL)
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
