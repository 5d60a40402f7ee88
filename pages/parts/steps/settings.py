"""What can be chosen for each step, and the button that starts it as a background job.

Every function takes the city, its saved models, and why the step cannot be started now (empty where it can).
"""

import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import streamlit as st

from lecdiff_core.addresses import AllowedHosts, check_template, refused
from lecdiff_core.city import history
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import BENCHMARKS_FOLDER, CHIPS_FOLDER, DESCRIPTIONS_FILE, SURGES_FILE, forecast_file
from lecdiff_core.environment.descriptions.costs import Estimate
from lecdiff_core.environment.descriptions.instruction import instruction_names
from lecdiff_core.environment.imagery.terms import CONSENT, IMAGERY_NAME, INSTEAD, STATEMENT
from lecdiff_core.errors import UserError
from lecdiff_core.jobs import background
from lecdiff_core.models.names import BASE, OURS, PAPER, PREFERRED, SHIPPED, YARDSTICKS, label_of
from lecdiff_core.status import SavedModel
from pages.parts.data.reading import read_once
from pages.parts.look.formats import literal
from pages.parts.steps import jobs, uploads

IN_CITY = "../.."  # from a job's folder
TERMS = (
    f"{CONSENT}. Looking at the map is ordinary use; fetching an image for every station is not. By ticking the box {STATEMENT} "
    f"(this application does so). Without it: use {INSTEAD} as a GeoTIFF, or a tile server that you may use."
)
SOURCES = {"arcgis": IMAGERY_NAME, "tiles": "A tile server", "raster": "A GeoTIFF of your own"}
PROVIDERS = {"offline": "Without a language model, from what the image measures", "openai": "A language model"}
INSTRUCTIONS = {"short": "Short", "standard": "Standard", "infrastructure": "Detailed, with infrastructure"}
DEVICES = {"auto": "The fastest there is", "cpu": "Processor (CPU)", "cuda": "Graphics card (CUDA)"}
USES = {"newest": "All but the last tenth, for use", "protocol": "The first 70 %, as models are measured"}
PARTS = {"validation": "Validation folds, to choose between models", "test": "Test part, to report"}


def _start(city: City, step: str, options: Sequence[str], blocked: str, label: str) -> None:
    if st.button(
        label,
        icon=":material/play_arrow:",
        type="primary",
        disabled=bool(blocked),
        help=blocked or None,
        key=f"start-{step}",
    ):
        jobs.start(city.path, step, options)
        st.rerun()


def _device(step: str) -> str:
    return (
        f"--device={st.selectbox('Compute on', list(DEVICES), format_func=DEVICES.__getitem__, key=f'device-{step}')}"
    )


# ---- surroundings


def imagery(city: City, models: list[SavedModel], blocked: str) -> None:  # noqa: ARG001
    """Where images come from, whose terms apply, how large they are."""
    from lecdiff_core.environment.imagery.chips import METRES

    sources = [source for source in SOURCES if source != "arcgis" or city.has_true_places]
    source = st.radio("Source", sources, format_func=SOURCES.__getitem__, horizontal=True, key="imagery_source")
    left, right = st.columns(2)
    metres = left.number_input("Metres a side", 50, 10_000, int(METRES), 10, key="imagery_metres")
    size = right.number_input("Pixels a side", 32, 2048, 256, 32, key="imagery_size")
    options = [f"--metres={metres}", f"--size={size}"]
    if source == "arcgis":
        _arcgis(city, options, blocked)
    elif source == "tiles":
        _tiles(city, options, blocked)
    else:
        _raster(city, options, blocked)


def _arcgis(city: City, options: list[str], blocked: str) -> None:
    month = st.text_input(
        "Month (optional)",
        key="imagery_month",
        placeholder="2021-03",
        max_chars=7,
        help="The archived release published nearest to it; its pictures were taken earlier. Empty: the present imagery.",
    ).strip()
    st.caption(TERMS)
    agreed = st.checkbox("I have Esri's consent or a licence that covers this", key="imagery_terms")
    if month and not re.fullmatch(r"\d{4}-\d{2}", month):
        blocked = blocked or "Write the month like 2021-03."
    words = ["--source=arcgis", "--accept-terms", *options, *([f"--date={month}"] if month else [])]
    _start(city, "imagery", words, blocked or ("" if agreed else "Accept the terms first."), "Fetch images")


def _tiles(city: City, options: list[str], blocked: str) -> None:
    template = st.text_input(
        "Address of the tiles",
        key="imagery_template",
        placeholder="https://tiles.example.org/{z}/{x}/{y}.jpg",
        max_chars=300,
        help="Write the attribution that the server asks for into city.toml.",
    ).strip()
    if not template:
        blocked = blocked or "Give the address of a tile server that you may use."
    elif urlsplit(template).query or "@" in template:
        # It would be kept with the job; what may be a secret never is.
        st.warning(
            "An address with a key in it is not kept by this page. Run `lecdiff imagery` in a terminal with it.",
            icon=":material/key_off:",
        )
        blocked = blocked or "The address may carry a key."
    else:
        blocked = blocked or _trouble_with(template)
    _start(city, "imagery", [f"--source={template}", *options], blocked, "Fetch images")


def _trouble_with(template: str) -> str:
    """Why tiles cannot be asked for at an address, empty where they can as far as it tells."""
    try:
        check_template(template, "The address")
        return "" if AllowedHosts.here().name(template) else f"{refused(template)}."
    except UserError as error:
        return f"{error}."


def _raster(city: City, options: list[str], blocked: str) -> None:
    given = st.file_uploader(
        "GeoTIFF of 8-bit red, green and blue",
        type=list(uploads.RASTER),
        key="imagery_raster",
        max_upload_size=uploads.LARGEST_MB,
        help="A larger one: lecdiff imagery CITY --source FILE.tif",
    )
    blocked = blocked or ("" if given else "Choose a file.")
    button = st.button(
        "Cut images",
        icon=":material/play_arrow:",
        type="primary",
        disabled=bool(blocked),
        help=blocked or None,
        key="start-imagery",
    )
    if not button or given is None:
        return
    folder = background.new_folder(city.path)
    try:
        (file,) = uploads.lay([given], folder / background.INPUT, uploads.RASTER)
    except UserError as error:
        background.discard(folder)
        st.error(literal(error), icon=":material/error:")
        return
    if jobs.start(city.path, "imagery", [f"--source={file.relative_to(folder)}", *options], folder) is None:
        background.discard(folder)
    st.rerun()


def describe(city: City, models: list[SavedModel], blocked: str) -> None:  # noqa: ARG001
    """Who writes the descriptions, and what that costs."""
    st.secrets.load_if_toml_exists()
    key, address = os.environ.get("OPENAI_API_KEY"), _address()
    configured = bool(key or address)
    provider = st.radio(
        "Written by",
        list(PROVIDERS),
        index=1 if configured else 0,
        format_func=PROVIDERS.__getitem__,
        horizontal=True,
        key="describe_provider",
    )
    if provider == "offline":
        st.caption(
            "Free and private, but poorer. Such descriptions say wherever they are shown that no model wrote them."
        )
        _start(city, "describe", ["--provider=offline"], blocked, "Describe")
        return
    host = urlsplit(address).hostname or "" if address else "OpenAI"
    st.caption(
        f"Asks {literal(host)} {'with the key of this server' if key else 'without a key'}. Whoever runs this server sets "
        "OPENAI\\_API\\_KEY and LECDIFF\\_LLM\\_BASE\\_URL in its environment or in Streamlit's secrets. The images are sent, "
        "no places."
    )
    first, second, third, fourth = st.columns(4, gap="small")
    model = first.text_input("Model", key="describe_model", placeholder="gpt-4o", max_chars=80).strip() or None
    count = second.number_input("Descriptions a station", 1, 20, 1, key="describe_count")
    names = instruction_names()
    instruction = third.selectbox(
        "Detail",
        names,
        index=names.index("standard"),
        format_func=lambda name: INSTRUCTIONS.get(name, name),
        key="describe_instruction",
    )
    budget = fourth.number_input(
        "Spend at most (USD)", min_value=0.01, value=None, key="describe_budget", placeholder="no limit"
    )
    if not configured:
        blocked = blocked or "There is neither a key nor a server of your own; see above."
    words = ["--provider=openai", f"--per-station={count}", f"--instruction={instruction}"]
    words += ([f"--model={model}"] if model else []) + ([f"--budget={budget}"] if budget else [])
    label, blocked = _price(city, model, int(count), instruction, budget, blocked)
    _start(city, "describe", words, blocked, label)


def _price(
    city: City, model: str | None, count: int, instruction: str, budget: float | None, blocked: str
) -> tuple[str, str]:
    """Say what the descriptions will take; the button's label, and why it cannot be pressed."""
    label = "Describe"
    if blocked:
        return label, blocked
    try:
        estimate = _estimate(city, model, count, instruction)
    except UserError as error:
        return label, str(error)
    st.info(f"To be asked: {literal(estimate)}.", icon=":material/payments:")
    if estimate.cost is None:
        return label, "A limit cannot be kept: the price of this model is not known." if budget else ""
    return f"{label} for about {estimate.cost:.2f} USD", ""


def _address() -> str:
    """Of a server of one's own; empty where OpenAI is asked."""
    return os.environ.get("LECDIFF_LLM_BASE_URL") or os.environ.get("OPENAI_BASE_URL") or ""


@read_once(
    lambda city, *_: [city.path / DESCRIPTIONS_FILE, city.path / CHIPS_FOLDER],
    entries=32,
    spinner="Estimating the cost",
)
def _estimate(city: City, model: str | None, count: int, instruction: str) -> Estimate:
    from lecdiff_core.environment.descriptions.describe import estimate_descriptions

    return estimate_descriptions(city, "openai", model, count, instruction)


def embed(city: City, models: list[SavedModel], blocked: str) -> None:  # noqa: ARG001
    """Where to compute; only what is new is embedded."""
    _start(city, "embed", [_device("embed")], blocked, "Embed")


# ---- models


@st.cache_resource(show_spinner="Loading the models")
def _catalogue() -> list[str]:
    from lecdiff_core.models.catalogue import MODELS

    return [name for name in MODELS if name not in SHIPPED]


def train(city: City, models: list[SavedModel], blocked: str) -> None:  # noqa: ARG001
    """Which model, where, from which seed."""
    names = _catalogue()
    first, second, third = st.columns([3, 3, 2], gap="small")
    with first:
        model = st.selectbox("Model", names, index=names.index(PREFERRED), format_func=label_of, key="train_model")
    with second:
        device = _device("train")
    seed = third.number_input("Seed", 0, 2**31 - 1, 0, key="train_seed", help="Of all that is random.")
    if model == PAPER:
        st.caption(
            "The plain form of the paper: 21.8 million parameters and 100 steps of denoising, slow without a GPU."
        )
    use = st.radio(
        "Learn from",
        list(USES),
        format_func=USES.__getitem__,
        key="train_use",
        disabled=bool(history.lacking("benchmark", history.days_of(city))),
        horizontal=True,
    )
    which = [f"--model={OURS}", "--preset=paper"] if model == PAPER else [f"--model={model}"]
    _start(
        city,
        "train",
        [*which, device, f"--seed={seed}", *(["--protocol"] if use == "protocol" else [])],
        blocked,
        "Train",
    )


def _saved(models: list[SavedModel], step: str) -> str | None:
    names = [model.name for model in models if model.usable] or ([BASE] if step == "forecast" else [])
    if not names:
        return None
    index = names.index(PREFERRED) if PREFERRED in names else 0
    return st.selectbox("Model", names, index=index, format_func=label_of, key=f"{step}_model")


def forecast(city: City, models: list[SavedModel], blocked: str) -> None:
    """By which model; what has been forecast can be saved."""
    model = _saved(models, "forecast")
    if model is None:
        return
    samples = st.number_input("Futures drawn", 2, 1000, 100, 50, key="forecast_samples")
    file = forecast_file(city.path, model)
    out = f"--out={IN_CITY}/{file.relative_to(city.path).as_posix()}"
    _start(city, "forecast", [f"--model={model}", f"--samples={samples}", out], blocked, "Forecast")
    if file.is_file():
        st.download_button(
            "Save the forecast",
            data=file.read_bytes,
            file_name=f"{city.path.name}-{model}.parquet",
            mime="application/vnd.apache.parquet",
            icon=":material/download:",
            on_click="ignore",
        )


def benchmark(city: City, models: list[SavedModel], blocked: str) -> None:  # noqa: ARG001
    """Which models, on which part, how often."""
    names = _catalogue()
    part = st.radio("Measured on", list(PARTS), format_func=PARTS.__getitem__, key="benchmark_part")
    left, right = st.columns([5, 2], gap="small")
    usual = [name for name in (PREFERRED, *YARDSTICKS) if name in names]
    chosen = left.multiselect("Models", names, usual, format_func=label_of, key="benchmark_models")
    seeds = right.number_input("Trainings a model", 1, 10, 1, key="benchmark_seeds", help="Each from another seed.")
    words = [f"--part={part}", f"--models={','.join(chosen)}", f"--seeds={seeds}"]
    words.append(f"--out={IN_CITY}/{BENCHMARKS_FOLDER}/{part}.json")
    _start(city, "benchmark", words, blocked or ("" if chosen else "Choose a model."), "Measure")


def surges(city: City, models: list[SavedModel], blocked: str) -> None:
    """By which model; how many false alarms one accepts is chosen where surges are shown."""
    model = _saved(models, "surges")
    if model is not None:
        _start(city, "surges", surge_words(model), blocked, "Look for surges")


def surge_words(model: str) -> list[str]:
    """Options of a search whose result stays in the city folder."""
    return [f"--model={model}", f"--out={IN_CITY}/{SURGES_FILE}"]
