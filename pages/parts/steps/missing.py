"""What a city does not have yet, and the job that makes it: said the same way on every page."""

import streamlit as st

from lecdiff_core.city.folder import City
from lecdiff_core.jobs import background
from pages.parts.data import cities, folder_status, forecasts
from pages.parts.look.formats import literal
from pages.parts.state import address, session
from pages.parts.steps import jobs, settings

# What the button says for steps that need no choice.
AT_ONCE = {"embed": "Embed now", "train": "Train LEC-Diff now", "surges": "Look for surges now"}
OFTEN = 2.0  # seconds between two looks at a running job


def offer(sentence: str, step: str, city: City) -> None:
    """Say what is missing; start the job that makes it, or lead to where it is started; while it runs, how far it is."""
    st.info(sentence, icon=":material/hourglass_empty:")
    jobs.trouble()
    if background.running(city.path, step):
        st.fragment(_watch, run_every=OFTEN)(city, step)
        return
    last = next((job for job in background.jobs(city.path) if job.step == step and job.state != "done"), None)
    if last is not None:
        why = literal(jobs.STATES[last.state][1] or jobs.problem(last))
        st.caption(f":material/history: The last attempt has ended. {why}")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if last is None and step in AT_ONCE and _can_start(city, step):
            _start_button(sentence, step, city)
        link(step)


def link(step: str) -> None:
    """The way to where a step is set up and started."""
    st.page_link(
        "pages/data.py",
        label=f"{jobs.TITLES[step]} on the Data page",
        icon=":material/database:",
        query_params={address.CITY.name: session.place().key, address.STEP.name: step},
    )


def _start_button(sentence: str, step: str, city: City) -> None:
    options = settings.surge_words(forecasts.model_of(city)) if step == "surges" else []

    def clicked() -> None:
        jobs.start(city.path, step, options)

    st.button(AT_ONCE[step], icon=":material/play_arrow:", key=f"offer-{step}-{sentence}", on_click=clicked)


def _can_start(city: City, step: str) -> bool:
    return cities.editable(city.path) and not folder_status.steps_and_models(city)[0][step].needs


def _watch(city: City, step: str) -> None:
    job = background.running(city.path, step)
    if job is None:
        st.rerun()
    else:
        st.markdown(f"**{jobs.TITLES[step]}**")
        jobs.progress(job)
