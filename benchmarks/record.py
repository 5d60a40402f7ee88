"""How a measurement is kept: `results/NAME.json`, with the machine it was taken on, whole or not at all."""

import json
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from lecdiff_core.storage import replacing

RESULTS = Path(__file__).resolve().parent / "results"


def record(name: str, result: dict[str, Any]) -> None:
    """Write a result and print it."""
    text = json.dumps(result | {"machine": describe_machine()}, indent=1, ensure_ascii=False)
    with replacing(RESULTS / f"{name}.json") as unfinished:
        unfinished.write_text(text + "\n", "utf-8")
    print(text)
