"""A step that takes its time and loads nothing heavy: what a background job runs where a test is about the job, not the step.

It counts to a hundred, keeps its count in the city folder after every tenth, and goes on from there when it is run again.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from lecdiff_core.jobs import background, worker

KEPT = "counted"
real_popen = subprocess.Popen


def popen(words: list[str], **how: object) -> subprocess.Popen:
    """In place of `subprocess.Popen`: starts this step in the job's process, whatever the job's step is."""
    return real_popen([sys.executable, __file__, *os.environ.get("DEAF", "").split(), words[-1]], **how)


def count() -> None:
    """The step: 20 a second."""
    file = Path(sys.argv[2]) / KEPT
    report = background.report_to(Path(os.environ[background.PROGRESS_VARIABLE]))
    for done in range(int(file.read_text()) if file.is_file() else 0, 100):
        if done % 10 == 0:
            file.write_text(str(done))
        report(done, 100, f"counting, {done} so far")
        time.sleep(0.05)
    print("{}")
    sys.exit(0)


if __name__ == "__main__":
    if "deaf" in sys.argv:
        worker._stop = lambda *_: None
    worker.cli.main = count
    worker.main(Path(sys.argv[-1]))
