"""A real OpenAI-compatible server on loopback that answers, and misbehaves where it is told to."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.environment.loopback import LoopbackServer

SENTENCES = [
    "Dense blocks of apartments with grey flat roofs fill most of the area.",
    "A wide road runs along the southern edge, with a few trees beside it.",
    "People are likely here in the evening and at night.",
]


def completion(
    content: str | None, finish: str = "stop", usage: tuple[int, int] | None = (600, 80), **message: Any
) -> dict:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
        ],
        "usage": usage
        and {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": usage[0] + usage[1]},
    }


def as_json(*sentences: str) -> str:
    return json.dumps({"sentences": list(sentences)})


def failure(message: str, code: str | None = None, kind: str | None = None) -> dict:
    return {"error": {"message": message, "code": code, "type": kind, "param": None}}


class ChatServer(LoopbackServer):
    """`behave(body, times)` gives (status, answer, headers), or a function of the handler; `times` counts from 0."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.started: list[float] = []
        self.busiest = self._busy = 0
        self.behave: Callable[[dict, int], Any] = lambda body, times: (200, completion(as_json(*SENTENCES)), {})
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    times = len(server.bodies)
                    server.bodies.append(body)
                    server.headers.append({name.lower(): value for name, value in self.headers.items()})
                    server.started.append(time.monotonic())
                    server._busy += 1
                    server.busiest = max(server.busiest, server._busy)
                try:
                    outcome = server.behave(body, times)
                    if callable(outcome):
                        outcome(self)
                        return
                    status, answer, headers = outcome
                    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                    self.send_response(status)
                    for name, value in {"Content-Type": "application/json", **headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with server._lock:
                        server._busy -= 1

            def log_message(self, *_: object) -> None:
                pass

        self.start(Handler)
        self.url += "/v1"
