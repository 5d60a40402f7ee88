"""The process of one background job: runs its command of `lecdiff` at a lower priority and writes down how it ended.

Started by `jobs.background` as `python -m lecdiff_core.jobs.worker JOB_FOLDER`, in that folder; stdout and stderr are its
files already. SIGTERM stops the step as Ctrl-C does.
"""

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from lecdiff_core import cli
from lecdiff_core.errors import INTERRUPTED
from lecdiff_core.jobs import background

NICENESS = 10


def main(folder: Path) -> None:
    """Run the job of a folder to its end."""
    signal.signal(signal.SIGTERM, _stop)
    os.nice(NICENESS)
    job = background.read_job(folder)
    if job is None:
        raise SystemExit(f"{folder} holds no job")
    os.environ[background.PROGRESS_VARIABLE] = str(folder / background.PROGRESS_FILE)
    sys.argv = ["lecdiff", job.step, str(job.city), *job.order.options, "--json"]
    status = _run()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    background.end(folder, status)


def _run() -> int:
    try:
        cli.main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # a bug; the log is where it belongs
        traceback.print_exc()
        return 1
    return 0


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (as the signal module calls it)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
