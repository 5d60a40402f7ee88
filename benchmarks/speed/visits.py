"""A visitor without a browser: speaks the app's own protocol (protobuf over a websocket) with a server of its own.

What is measured is the server and the bytes it sends: the browser's drawing is left out.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from websockets.sync.client import ClientConnection, connect

PATIENCE_SECONDS = 600
LARGEST_MESSAGE = 200 * 2**20


@dataclass
class Run:
    """One answer of the server: when its parts came, seconds after the question, and how much was sent."""

    seconds: float = 0.0
    chart_seconds: float | None = None  # until the first chart came
    sent_bytes: int = 0
    texts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Visit:
    """One session on the server."""

    def __init__(self, port: int, link: str = "") -> None:
        self.socket: ClientConnection = connect(
            f"ws://127.0.0.1:{port}/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=LARGEST_MESSAGE,
            open_timeout=PATIENCE_SECONDS,
        )
        self.link, self.map_id, self.messages = link, "", dict[str, ForwardMsg]()

    def open(self) -> Run:
        """The first run of the page."""
        return self._ask(WidgetStates())

    def click(self, station_id: str) -> Run:
        """A click on a station of the map, to the end of the run that answers it."""
        self.send_click(station_id)
        return self.answer()

    def send_click(self, station_id: str) -> None:
        """A click whose answer is not waited for."""
        selection = {"indices": {"stations": [0]}, "objects": {"stations": [{"station_id": station_id}]}}
        state = WidgetState(id=self.map_id, string_value=json.dumps({"selection": selection}))
        self._send(WidgetStates(widgets=[state]))

    def rerun(self) -> Run:
        """The same page again, nothing changed."""
        return self._ask(WidgetStates())

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    def _ask(self, states: WidgetStates) -> Run:
        self._send(states)
        return self.answer()

    def _send(self, states: WidgetStates) -> None:
        message = BackMsg()
        message.rerun_script.query_string = self.link
        message.rerun_script.widget_states.CopyFrom(states)
        self.asked = time.perf_counter()
        self.socket.send(message.SerializeToString())

    def answer(self) -> Run:
        """What comes until a run has ended by itself, not because another began."""
        run = Run()
        while True:
            raw = self.socket.recv(timeout=PATIENCE_SECONDS)
            now = time.perf_counter() - self.asked
            run.sent_bytes += len(raw)
            message = self._whole(ForwardMsg.FromString(raw))  # type: ignore[arg-type]
            kind = message.WhichOneof("type")
            if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                self._read(message.delta.new_element, run, now)
            elif kind == "session_event" and message.session_event.WhichOneof("type") == "script_compilation_exception":
                run.errors.append(message.session_event.script_compilation_exception.message)
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                run.seconds = now
                return run

    def _read(self, element, run: Run, now: float) -> None:
        kind = element.WhichOneof("type")
        if kind == "deck_gl_json_chart":
            self.map_id = element.deck_gl_json_chart.id
        elif kind == "plotly_chart" and run.chart_seconds is None:
            run.chart_seconds = now
        elif kind == "html":
            run.texts.append(element.html.body)
        elif kind == "exception":
            run.errors.append(f"{element.exception.type}: {element.exception.message}")

    def _whole(self, message: ForwardMsg) -> ForwardMsg:
        """A message that the server only names, since it was sent before."""
        if message.WhichOneof("type") == "ref_hash":
            return self.messages[message.ref_hash]
        if message.metadata.cacheable:
            self.messages[message.hash] = message
        return message


@contextmanager
def server(city: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The app with a city, started as `lecdiff app` does it: its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-c", "from lecdiff_core.cli import main; main()"]
    words += ["app", str(city.resolve()), "--port", str(port), "--headless"]
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen(
            words, cwd=empty, env=os.environ | {"LECDIFF_CITIES": empty}, stdout=subprocess.DEVNULL
        )
        try:
            _wait_for(port, process)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(port: int, process: subprocess.Popen) -> None:
    for _ in range(4 * PATIENCE_SECONDS):
        if process.poll() is not None:
            raise RuntimeError("the app did not start")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.25)
    raise RuntimeError("the app does not answer")
