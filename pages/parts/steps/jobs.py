"""Background jobs on the pages: started, shown with progress and log, stopped, resumed; the same in every tab.

Nothing of them is kept in a session: what is shown is what the city folders tell.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from lecdiff_core.jobs.background import Job
from pages.parts.data import cities
from pages.parts.look import formats, tables, wording
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks
from pages.parts.state import session
from pages.parts.steps import drafts, import_report

TITLES = {
    "import": "Import",
    "imagery": "Satellite images",
    "describe": "Descriptions",
    "embed": "Embeddings",
    "train": "Training",
    "forecast": "Forecast",
    "benchmark": "Measurement",
    "surges": "Surges",
}
LOOK = "Look before importing"
STATES = {
    "running": (":blue-badge[:material/autorenew: Running]", ""),
    "done": (":green-badge[:material/check: Done]", ""),
    "looked": (":green-badge[:material/check: Done]", "Nothing is written yet. The form says what would be imported."),
    "stopped": (":gray-badge[:material/pause: Stopped]", "What was finished is kept; resume goes on from there."),
    "failed": (":red-badge[:material/error: Failed]", ""),
    "nothing": (":orange-badge[:material/block: Nothing made]", "What was there before is kept; resume tries again."),
    "died": (
        ":orange-badge[:material/heart_broken: Ended unexpectedly]",
        "Its process was killed: the machine was restarted or ran out of memory. What was finished is kept.",
    ),
}
A_BUG = "The program ended with an error of its own. The log says where; resume tries again."
OFTEN, SELDOM = 1.0, 8.0  # seconds between two looks, while something runs and while nothing does
LOG_LINES = 120
SHOWN_FAILURES = 5
SEEN = "jobs_seen"
TROUBLE = "jobs_trouble"


def start(city: Path, step: str, options: Sequence[str] = (), folder: Path | None = None) -> Job | None:
    """Start a job; where that is refused, the panel says why. Keys that Streamlit's secrets hold go along."""
    return _try(lambda: _start(city, step, options, folder))


def _start(city: Path, step: str, options: Sequence[str], folder: Path | None) -> Job:
    st.secrets.load_if_toml_exists()  # puts them into the environment, which the job inherits
    return background.start(city, step, options, folder)


def _try(act: Callable[[], Job | None]) -> Job | None:
    try:
        return act()
    except UserError as error:
        st.session_state[TROUBLE] = str(error)
        return None


def trouble() -> None:
    """Say, once, why a job could not be started, stopped or resumed."""
    if sentence := st.session_state.pop(TROUBLE, None):
        st.warning(literal(sentence), icon=":material/block:")


def panel(city: Path) -> None:
    """The jobs of this city and what runs on others; looks again by itself, and redraws the page when one has ended."""
    jobs = shown(city)
    st.session_state[SEEN] = _snapshot(jobs)
    busy = any(job.state == "running" for job in jobs)
    st.fragment(_panel, run_every=OFTEN if busy else SELDOM)(city)


def _panel(city: Path) -> None:
    trouble()
    jobs = shown(city)
    if _snapshot(jobs) != st.session_state.get(SEEN):
        cities.refresh()
        st.rerun()
    if not jobs:
        st.html(blocks.paragraph("Nothing runs. What you start here goes on when you close the page.", "sub"))
    for job in jobs:
        with st.container(border=True, key=f"job-{job.id}"):
            _show(job, city)


def shown(city: Path) -> list[Job]:
    """The jobs of a city, imports that have not become a city yet, and what runs elsewhere; running ones first."""
    mine = background.jobs(city)
    elsewhere = [job for folder in cities.worked_on() if folder != city.resolve() for job in background.jobs(folder)]
    others = [job for job in elsewhere if job.state == "running" or job.step == "import"]
    return sorted([*mine, *others], key=lambda job: job.state != "running")


def _snapshot(jobs: list[Job]) -> list[tuple[str, str]]:
    return sorted((str(job.folder), job.state) for job in jobs)


def _show(job: Job, city: Path) -> None:
    badge, sentence = STATES[_state(job)]
    elsewhere = "" if job.city == city.resolve() else f" · {literal(job.city.name)}"
    st.markdown(f"**{LOOK if job.is_look else TITLES[job.step]}**{elsewhere} {badge}")
    if job.state == "running":
        progress(job)
    elif job.state == "failed":
        st.error(literal(problem(job)), icon=":material/error:")
    if sentence:
        st.html(blocks.paragraph(sentence, "sub"))
    if (job.state == "done" and not job.is_look) or job.made_nothing:
        st.html(result(job) or "<p></p>")
    _buttons(job, city)
    with st.expander("Log and command", key=f"log-{job.id}"):
        st.code(job.command, language=None, wrap_lines=True)
        st.code(job.log(LOG_LINES) or "Nothing was said yet.", language=None, height=220)


def _state(job: Job) -> str:
    if job.made_nothing:
        return "nothing"
    return "looked" if job.is_look and job.state == "done" else job.state


def problem(job: Job) -> str:
    """Why a job failed, with the page's words for options of the command line."""
    return wording.on_the_page(job.problem() or A_BUG)


def progress(job: Job) -> None:
    """A bar with what the job does and the time left."""
    reported = job.progress
    if reported is None:
        st.progress(0.0, "Getting ready")
        return
    parts = [f"{reported.share:.0%}", literal(reported.message)]
    if reported.seconds_left is not None:
        gone = (datetime.now(UTC) - reported.at).total_seconds()
        parts.append(f"about {length(reported.seconds_left - gone)} left")
    st.progress(reported.share, " · ".join(parts))


def length(seconds: float) -> str:
    """A rough length of time, such as 40 s, 3 min or 2 h."""
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f}{formats.THIN}{name}"
    return f"{max(1, seconds):.0f}{formats.THIN}s"


def _buttons(job: Job, city: Path) -> None:
    with st.container(horizontal=True, gap="small"):
        if job.state == "running":
            _button("Cancel", ":material/stop_circle:", job, background.cancel)
            return
        resumable = drafts.can_go_on(job, city)
        if job.state != "done" and not (resumable and job.state == "failed"):
            _button("Resume", ":material/play_arrow:", job, background.resume)
        if resumable and st.button(
            "Correct and retry" if job.state == "failed" else "Go on in the form",
            icon=":material/edit:",
            key=f"correct-{job.id}",
            on_click=drafts.choose,
            args=(job, city),
        ):
            st.rerun()
        new = job.state == "done" and job.step == "import" and not job.is_look and job.city != city.resolve()
        if new and st.button(
            "Open the city", key=f"open-{job.id}", on_click=open_city, args=(job.city,), type="primary"
        ):
            st.rerun()
        _button("Dismiss", ":material/close:", job, background.forget)


def _button(label: str, icon: str, job: Job, act: Callable[[Job], Job | None]) -> None:
    def clicked() -> None:
        _try(lambda: act(job))

    if st.button(label, icon=icon, key=f"{label.lower()}-{job.id}", on_click=clicked):
        st.rerun()


def open_city(folder: Path) -> None:
    """Choose the city in a folder that may be new; for a button's callback."""
    cities.refresh()
    if key := cities.key_of(folder):
        session.choose_city(key)


def result(job: Job) -> str:
    """What was observed of a job that is done, as HTML; empty where it said nothing."""
    if job.step == "import":
        report = import_report.report_of(job)
        return import_report.brief(report) if report else ""
    reported = job.result()
    try:
        return tables.items(RESULTS[job.step](reported)) if reported else ""
    except (KeyError, TypeError, ValueError):  # a result of another version of the program
        return ""


def _imagery(result: dict) -> list[str]:
    counts = f"{len(result['made'])} images made, {len(result['kept'])} kept, {len(result['own'])} your own"
    return [counts, *_failures(result["failed"]), *result["notes"]]


def _describe(result: dict) -> list[str]:
    spent = "" if not result["cost"] else f", {result['cost']:.2f} USD"
    shared = f", {result['shared']} of them shared with a station of the same image" if result.get("shared") else ""
    lines = [f"{result['made']} descriptions made{shared}, {result['kept']} kept, by {result['model']}{spent}"]
    if result["stopped"]:
        lines.append(f"stopped: {result['stopped']}; {len(result['undone'])} stations were not asked about")
    return [*lines, *_failures(result["failed"])]


def _embed(result: dict) -> list[str]:
    lines = [f"{len(result['made'])} stations embedded, {len(result['kept'])} kept"]
    if result["without_chip"]:
        lines.append(f"{len(result['without_chip'])} have no satellite image")
    return [*lines, *_failures(result["unreadable"])]


def _train(result: dict) -> list[str]:
    scores = result.get("validation_crps") or []
    best = f", best validation CRPS {min(scores):.4f} of the traffic" if scores else ""
    return [f"{result['epochs']} epochs{best}, on {result['device']}"]


def _forecast(result: dict) -> list[str]:
    return [f"{result['stations']:,} stations × {result['steps']} steps from {result['start']}", *result["notices"]]


def _benchmark(result: dict) -> list[str]:
    return [
        f"{row['model']}, seed {row['seed']}: nCRPS {row['ncrps']:.4f}, {row['coverage_90']:.0%} inside the 90 % interval"
        for row in result["results"]
    ] + result.get("notices", [])


def _surges(result: dict) -> list[str]:
    rate = f"{result['false_alarms_per_day']:g} false alarms a day"
    counts = f"{result['events']} events at {rate}: {result['above']} surges above the forecast, {result['below']} drops below it"
    return [counts, *result.get("notices", [])]


def _failures(failed: dict[str, str]) -> list[str]:
    lines = [f"{station}: {reason}" for station, reason in list(failed.items())[:SHOWN_FAILURES]]
    return [*lines, f"and {len(failed) - len(lines)} more without"] if len(failed) > len(lines) else lines


RESULTS: dict[str, Callable[[dict], list[str]]] = {
    "imagery": _imagery,
    "describe": _describe,
    "embed": _embed,
    "train": _train,
    "forecast": _forecast,
    "benchmark": _benchmark,
    "surges": _surges,
}
