"""The files of an import that is not done: uploaded once, and kept in its job's input until it is imported or given up.

A look before the import, and an import that failed, leave them there, so that a person changes one choice of the form and tries
again. What the form works on is kept in the session; the files and the choices are stored with the job alone, so that they survive
a reload, and another tab can go on.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from lecdiff_core.city.layout import META_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from lecdiff_core.jobs.background import INPUT, Job
from lecdiff_core.storage import disk_reason
from pages.parts.steps import uploads

TRAFFIC, STATIONS = "traffic", "stations"  # folders of a job's input
ALLOWED = {TRAFFIC: uploads.TRAFFIC, STATIONS: uploads.STATIONS}
CHOSEN = "import_draft"  # folder of the job that the form goes on with
COLUMNS = "import_columns"  # role → column, as that job has them
CARD = "data_step"  # which part of the page is open at first
TURN = "import_turn"  # of the form: a new one is open, whatever the one before was
# The options of `lecdiff import` that the form chooses; --na can be there more than once.
OPTIONS = (
    *("layout", "interval", "timezone", "unit", "coordinates", "crs", "on-duplicate", "on-unknown"),
    *("date-format", "decimal", "country", "name"),
)
MISSING = "na"


@dataclass(frozen=True)
class Side:
    """The files of one kind, traffic or stations: just uploaded, or kept from the try before."""

    kind: str
    uploaded: list[UploadedFile]
    stored: list[Path]

    def __bool__(self) -> bool:
        return bool(self.uploaded or self.stored)


def chosen() -> Job | None:
    """The job whose files the form goes on with; None where there is none, or its files are gone."""
    folder = st.session_state.get(CHOSEN)
    job = background.read_job(Path(folder)) if folder else None
    if job is None or not (job.folder / INPUT).is_dir():
        st.session_state.pop(CHOSEN, None)
        return None
    return job


def can_go_on(job: Job, city: Path) -> bool:
    """Whether the form of a city can take up a job: an import into it, or into no city yet, with files that nobody works on."""
    here = job.city == city.resolve() or not (job.city / META_FILE).exists()
    return here and job.step == "import" and job.state != "running" and (job.folder / INPUT).is_dir()


def turn() -> int:
    """How often a job was taken up in this session."""
    return st.session_state.get(TURN, 0)


def choose(job: Job, city: Path) -> None:
    """Take up a job in the form, with its files and its choices; for a button's callback."""
    st.session_state[CHOSEN] = str(job.folder)
    st.session_state[CARD] = "import"
    st.session_state[TURN] = turn() + 1
    recall(job, city)


def key(option: str) -> str:
    """The key of the widget that chooses an option of `lecdiff import`."""
    return f"import_{option.replace('-', '_')}"


def recall(job: Job, city: Path) -> None:
    """Set the form's choices as a job has them. The widgets refuse what they do not offer."""
    words = [word.removeprefix("--").partition("=") for word in job.order.options]
    given = {option: value for option, _, value in words}
    for option in OPTIONS:
        st.session_state.pop(key(option), None)
        if option in given:
            st.session_state[key(option)] = given[option]
    st.session_state[key("into")] = "this" if job.city == city.resolve() else "new"
    st.session_state[key(MISSING)] = [value for option, _, value in words if option == MISSING]
    columns = [value.partition("=") for option, _, value in words if option == "column"]
    st.session_state[COLUMNS] = {role: name for role, _, name in columns}


def side(kind: str, uploaded: list[UploadedFile], draft: Job | None) -> Side:
    """The files of a kind that the form works on; new ones take the place of those kept."""
    folder = draft.folder / INPUT / kind if draft else None
    stored = sorted(file for file in folder.rglob("*") if file.is_file()) if folder else []
    return Side(kind, uploaded, [] if uploaded else stored)


def remove(draft: Job, kind: str) -> None:
    """Let the kept files of a kind go, and the job with the last of them; for a button's callback."""
    shutil.rmtree(draft.folder / INPUT / kind, ignore_errors=True)
    if not any((draft.folder / INPUT).iterdir()):
        background.forget(draft)


def carry(city: Path, draft: Job | None, sides: Sequence[Side]) -> Path:
    """A new job's folder in the folder `city`, with the files of both sides: uploads are laid into it, kept files move there.

    Raises UserError for an upload that is not let through, or where the disk refuses; then the kept files stay where they were.
    """
    laid: Path | None = None
    try:
        laid = background.new_folder(city)
        for one in sides:
            if one.uploaded:
                uploads.lay(one.uploaded, laid / INPUT / one.kind, ALLOWED[one.kind])
        _move(draft, laid, sides)
    except (UserError, OSError) as error:
        if laid is not None:
            background.discard(laid)
        raise (
            error if isinstance(error, UserError) else UserError(f"cannot keep the files: {disk_reason(error)}")
        ) from None
    return laid


def follow(laid: Path, draft: Job | None) -> None:
    """Go on with the job that was started in `laid`, and forget the one whose files it took."""
    st.session_state[CHOSEN] = str(laid)
    if draft is not None and draft.folder.is_dir():
        background.forget(draft)


def give_back(laid: Path, draft: Job | None, sides: Sequence[Side]) -> None:
    """Undo `carry` for a job that could not be started."""
    for one in sides:
        if draft is not None and one.stored:
            shutil.move(laid / INPUT / one.kind, draft.folder / INPUT / one.kind)
    background.discard(laid)


def _move(draft: Job | None, laid: Path, sides: Sequence[Side]) -> None:
    for one in sides:
        if draft is not None and one.stored:
            shutil.move(draft.folder / INPUT / one.kind, laid / INPUT / one.kind)
