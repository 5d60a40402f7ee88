"""README.md and docs/results.md say what the committed results say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_pages_are_what_the_results_say() -> None:
    words = [sys.executable, "-m", "benchmarks.readme_tables", "--check"]
    checked = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert checked.returncode == 0, checked.stderr
