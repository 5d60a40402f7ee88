"""A real tile server on loopback that draws a known world and misbehaves where it is told to."""

import io
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import numpy as np
from PIL import Image, ImageDraw

from tests.environment.loopback import LoopbackServer

RIGHTS = "Source: Example, and the GIS User Community"


def draw_tile(z: int, x: int, y: int, marks: list[tuple[float, float]]) -> Image.Image:
    """Noise in green, and a red disc of 5 pixels' radius on every mark (lon, lat)."""
    noise = np.random.default_rng([z, x, y]).integers(0, 90, (256, 256, 3), dtype=np.uint8)
    noise[:, :, 1] += 60
    noise[:, :, 0] //= 3
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    for lon, lat in marks:
        column = ((lon + 180) / 360 * 2**z) * 256 - x * 256
        row = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z * 256 - y * 256
        draw.ellipse((column - 5.5, row - 5.5, column + 4.5, row + 4.5), fill=(255, 0, 0))
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def placeholder(seed: int = 0) -> bytes:
    """Grey, with faint writing, as Esri answers where it has no picture."""
    image = Image.new("RGB", (256, 256), (204, 204, 204))
    ImageDraw.Draw(image).text((60, 120 + seed), "Map data not yet available", fill=(150, 150, 150))
    return encoded(image, quality=75)


class TileServer(LoopbackServer):
    """`behave(tile, times)` may return a function of the handler that answers instead of a good tile.

    `times` is how often that tile has been asked for before. `asked` counts every request by path.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.started: list[float] = []
        self.marks: list[tuple[float, float]] = []
        self.behave: Callable[[tuple[int, int, int], int], Callable | None] = lambda tile, times: None
        self.documents: dict[str, bytes] = {}
        self.busiest = 0
        self._busy = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with server._lock:
                    times = server.asked[self.path]
                    server.asked[self.path] += 1
                    server.started.append(time.monotonic())
                    server._busy += 1
                    server.busiest = max(server.busiest, server._busy)
                try:
                    server.answer(self, times)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with server._lock:
                        server._busy -= 1

            def log_message(self, *_: object) -> None:
                pass

        self.start(Handler)
        self.template = self.url + "/tiles/{z}/{x}/{y}.jpg"

    def answer(self, handler: BaseHTTPRequestHandler, times: int) -> None:
        path = handler.path.partition("?")[0]
        if path in self.documents:
            send(handler, self.documents[path], kind="application/json")
            return
        z, a, b = path.removesuffix(".jpg").split("/")[-3:]
        tile = (int(z), int(b), int(a)) if "/tile/" in path else (int(z), int(a), int(b))
        special = self.behave(tile, times)
        if special is None:
            send(handler, encoded(draw_tile(*tile, self.marks), quality=85))
        else:
            special(handler)

    @property
    def tiles_asked(self) -> Counter[str]:
        return Counter({path: times for path, times in self.asked.items() if "/tile" in path})


def send(
    handler, body: bytes, status: int = 200, kind: str = "image/jpeg", headers: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def answer(body: bytes = b"", status: int = 200, kind: str = "image/jpeg", **headers: str) -> Callable:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: send(handler, body, status, kind, named)


def half_body(handler) -> None:
    """Promise a whole tile, send the first half, hang up."""
    body = encoded(draw_tile(1, 0, 0, []))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def half_file(handler) -> None:
    """Send a tile that was already half-written on the server's disk."""
    body = encoded(draw_tile(1, 0, 0, []))
    send(handler, body[: len(body) // 2])


def hang_up(handler) -> None:
    """Close the connection without an answer."""
    handler.connection.close()
    handler.close_connection = True


def stall(seconds: float) -> Callable:
    def answer_late(handler) -> None:
        time.sleep(seconds)
        send(handler, encoded(draw_tile(1, 0, 0, [])))

    return answer_late
