"""Data: which cities there are, bringing in new ones, and the steps from traffic to forecasts, each run in the background."""

from collections.abc import Callable

import streamlit as st
from markupsafe import Markup

from lecdiff_core.city.folder import City
from lecdiff_core.demo import copy_demo_city, demo_city
from lecdiff_core.errors import UserError
from lecdiff_core.status import SavedModel, Step
from pages.parts.data import cities, folder_status
from pages.parts.look import formats, tables
from pages.parts.look.formats import literal
from pages.parts.look.markup import blocks
from pages.parts.state import address, session
from pages.parts.steps import city_settings, drafts, import_form, jobs, settings

BADGES = {
    "missing": ":gray-badge[Not yet]",
    "partial": ":orange-badge[In part]",
    "done": ":green-badge[:material/check: Done]",
    "outdated": ":orange-badge[:material/history: Outdated]",
}
# What a step is for, in the words of somebody who has not read the paper.
MEANINGS = {
    "imagery": "A satellite image around every station. It is what descriptions and embeddings are made from.",
    "describe": "What stands around each station in words, written from its image and checked against it.",
    "embed": "Images and descriptions as numbers: they let stations be compared and searched, and help the forecast.",
    "train": "A model learns from all the time but the last tenth, at least two days, on which it is tuned. To be compared, it can "
    "learn as measured models do: from the first 70 %, tuned on the next 10 %; the rest it never sees.",
    "forecast": "The 24 hours after the end of the data, for every station, as a file to take away.",
    "benchmark": "Trains models again and measures their forecasts on days they have not seen, all by the same rules.",
    "surges": "Times at which traffic left what the forecast, made before, held likely.",
}
SHOWN_BY_STEPS = ("satellite chips", "descriptions", "embeddings", "a trained model")  # by the steps


def main() -> None:
    """The page, from top to bottom."""
    place, city = session.begin()
    wanted = address.STEP.read()
    st.session_state[drafts.CARD] = wanted or st.session_state.get(drafts.CARD)
    work, watch = st.columns([7, 4], gap="large")
    with watch, st.container(key="watch"):
        st.html(blocks.part("Jobs", 2))
        jobs.panel(city.path)
    with work:
        show_cities(city)
        show_holdings(city)
        show_steps(city)
        show_models(city)
    session.write_link(place)


# ---- cities


def show_cities(city: City) -> None:
    """Where cities lie, how more come in."""
    root = cities.own_root()
    st.html(
        blocks.part("Cities", 2)
        + blocks.paragraph(
            Markup("Choose one at the top of the page. City folders that are put into ")
            + blocks.code(root)
            + " appear there by themselves.",
            "sub",
        )
    )
    if not cities.editable(city.path):
        offer_copy(city)
    key = f"import-{drafts.turn()}"
    with st.expander(
        "Import a city from files", icon=":material/upload_file:", key=key, expanded=_asked("import", False)
    ):
        import_form.form(city)


def offer_copy(city: City) -> None:
    """A folder that cannot be written into can be copied, if it is the shipped one."""
    if city.path.resolve() != demo_city().resolve():
        st.info("This folder cannot be written into, so nothing can be made here.", icon=":material/lock:")
        return
    notice, button = st.columns([5, 2], vertical_alignment="center")
    notice.info("This is the shipped demo city, which stays as it is. Work on a copy of it.", icon=":material/lock:")
    button.button(
        "Make an editable copy", icon=":material/content_copy:", width="stretch", key="copy_demo", on_click=copy_demo
    )


def copy_demo() -> None:
    """Copy the shipped city into the cities folder, and open the copy."""
    folder = cities.free_folder("demo-copy")
    try:
        copy_demo_city(folder)
    except UserError as error:
        st.session_state[jobs.TROUBLE] = str(error)
    else:
        jobs.open_city(folder)


# ---- what the folder holds


def show_holdings(city: City) -> None:
    """Figures of the traffic, and what one may still want to add by hand."""
    held = folder_status.summary(city)
    st.html(blocks.part(f"What {city.meta.name} holds", 2))
    facts = {
        "Stations": f"{held.stations:,}",
        "From": formats.day(city.traffic.index[0]),
        "To": formats.day(city.traffic.index[-1]),
        "A value every": formats.duration(city.interval),
        "Values missing": formats.share(held.missing_share),
        "Mean load": formats.amount(held.mean, city.meta.unit),
        "Time zone": city.meta.timezone,
        "Holidays": f"{held.holidays}",
    }
    st.html(tables.facts(facts))
    if unheard := held.quiet():
        st.html(blocks.paragraph("Worth knowing", "sub") + tables.items(unheard))
    missing = [line.partition(";")[0] for line in held.missing if not line.startswith(SHOWN_BY_STEPS)]
    if missing:
        st.html(blocks.paragraph("Still missing", "sub") + tables.items(missing))
    if cities.editable(city.path):
        with st.expander(
            "Name, unit and holidays", icon=":material/edit:", key="settings", expanded=_asked("settings", False)
        ):
            city_settings.form(city)


# ---- the steps


def show_steps(city: City) -> None:
    """One line a step with what there is of it; opened, its choices and the button that starts it."""
    steps, models = folder_status.steps_and_models(city)
    st.html(
        blocks.part("Steps", 2)
        + blocks.paragraph(
            "From top to bottom; each goes on in the background and can be stopped and resumed. Images, descriptions and "
            "embeddings are optional.",
            "sub",
        )
    )
    editable = cities.editable(city.path)
    running = {job.step for job in jobs.shown(city.path) if job.state == "running" and job.city == city.path.resolve()}
    for name, step in steps.items():
        badge = ":blue-badge[:material/autorenew: Running]" if name in running else BADGES[step.state]
        label = f"**{jobs.TITLES[name]}** {badge} {literal(step.sentence)}"
        with st.expander(label, key=f"step-{name}", expanded=_asked(name, False)):
            st.html(blocks.paragraph(MEANINGS[name]))
            if step.needs:
                st.info(f"This needs {literal(step.needs)} first.", icon=":material/hourglass_empty:")
            blocked = _blocked(step, editable, name in running)
            SETTINGS[name](city, models, blocked)


def _blocked(step: Step, editable: bool, running: bool) -> str:
    """Why the step cannot be started now; empty where it can."""
    if not editable:
        return "This folder cannot be changed; make an editable copy first."
    if running:
        return "It is running already."
    return f"It needs {step.needs} first." if step.needs else ""


SETTINGS: dict[str, Callable[[City, list[SavedModel], str], None]] = {
    "imagery": settings.imagery,
    "describe": settings.describe,
    "embed": settings.embed,
    "train": settings.train,
    "forecast": settings.forecast,
    "benchmark": settings.benchmark,
    "surges": settings.surges,
}


def _asked(step: str, otherwise: bool) -> bool:
    wanted = st.session_state.get(drafts.CARD)
    return wanted == step if wanted else otherwise


# ---- models


def show_models(city: City) -> None:
    """The trained models, how good they were on the days they were tuned on, and whether they are of these data."""
    _, models = folder_status.steps_and_models(city)
    if not models:
        return
    st.html(blocks.part("Models of this city", 2))
    head = ("Model", "Error (validation)", "Parameters", "Trained in", "On", "Seed", "Fits this city")
    rows = [
        (
            model.label,
            "–" if model.validation_crps is None else f"{model.validation_crps:.4f}",
            "–" if model.parameters is None else f"{model.parameters:,}",
            "–" if model.seconds is None else jobs.length(model.seconds),
            model.device or "–",
            "–" if model.seed is None else str(model.seed),
            model.fit or "yes",
        )
        for model in models
    ]
    st.html(tables.table(head, rows))
    st.html(
        blocks.paragraph(
            "Error: CRPS over total traffic on the days the model was tuned on; lower is better. A formula without training has "
            "none.",
            "sub",
        )
    )
    for model in models:
        if model.fit:
            st.warning(f"**{literal(model.label)}**: {literal(model.fit)}.", icon=":material/history:")


main()
