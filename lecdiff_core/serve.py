"""Starts the app: Streamlit's server, as a program of its own. The core itself imports no Streamlit."""

import os
import sys
from pathlib import Path

from lecdiff_core.addresses import AllowedHosts
from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import read_meta
from lecdiff_core.errors import UserError

FIRST_VARIABLE = "LECDIFF_CITY"


def run(city: Path | None = None, port: int | None = None, headless: bool = False) -> None:
    """Turn this process into the app's server; does not return.

    city: the folder that the app opens first; the cities beside it can be chosen, too. Raises UserError if it is none, or if the
    hosts of LECDIFF_ALLOWED_HOSTS are none.
    port: 8501, or the next free one, unless given.  headless: do not open a browser.
    """
    AllowedHosts.here()
    environment = dict(os.environ)
    if city is not None:
        read_meta(city)
        environment[FIRST_VARIABLE] = str(Path(city).resolve())
    words = command(port, headless)
    sys.stdout.flush()
    os.execve(words[0], words, environment)  # noqa: S606 (no shell: the words are ours)


def command(port: int | None = None, headless: bool = False) -> list[str]:
    """The words that start the server. Raises UserError for a port that does not exist."""
    words = [sys.executable, "-m", "streamlit", "run", str(assets_folder().parent / "app.py")]
    if port is not None:
        if not 0 < port < 65536:
            raise UserError(f"port {port} does not exist; take one from 1024 to 65535")
        words += ["--server.port", str(port)]
    return [*words, "--server.headless", "true"] if headless else words
