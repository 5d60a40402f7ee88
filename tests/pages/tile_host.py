"""A tile server on loopback that stands in for ArcGIS: it counts what it is asked for, and can go away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class TileHost:
    """`reachable = False` makes it hang up on every request, as a host that is not there."""

    def __init__(self, port: int) -> None:
        self.template = f"http://127.0.0.1:{port}/tile/{{z}}/{{y}}/{{x}}"
        self.asked: list[str] = []
        self.reachable = True


@contextmanager
def tile_host(tile: bytes) -> Iterator[TileHost]:
    """Serves `tile` under every address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append(self.path)
            if not host.reachable:
                self.close_connection = True
                return
            self.send_response(200)
            for name, value in (
                ("Content-Type", "image/jpeg"),
                ("Content-Length", str(len(tile))),
                ("Access-Control-Allow-Origin", "*"),
                ("Cache-Control", "no-store"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(tile)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = TileHost(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
