"""The machine a figure was measured on, as written beside it: no host names, no paths."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil


def describe_machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GiB, Python and system."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def stolen_since(before: Any) -> float:
    """Share of the processors' time that a virtual machine's host took since `psutil.cpu_times()` said `before`."""
    now = psutil.cpu_times()
    passed = sum(now) - sum(before)
    return round((getattr(now, "steal", 0.0) - getattr(before, "steal", 0.0)) / passed, 3) if passed else 0.0


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
