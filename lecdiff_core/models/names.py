"""The models by name: what each is called, what it is beside LEC-Diff, and so in which tables it stands; each said here only.

models/catalogue.py says how they are built; this needs no model to be loaded.
"""

from typing import Literal, NamedTuple

Role = Literal["form", "part changed", "network", "library", "formula"]


class Named(NamedTuple):
    """One model for people.

    role: LEC-Diff in one of its forms; LEC-Diff with a part changed, said by `change` after "the error rises …"; a network or a
    formula of this project; a model of another library, which only benchmarks run.
    slow: measured on a part of a test table only (docs/measuring.md).  surroundings: measures what embeddings
    are worth, so that a city must have some.  unseen: speaks of places without history alone (evaluation/unseen.py).
    """

    label: str
    role: Role
    change: str = ""
    slow: bool = False
    surroundings: bool = False
    unseen: bool = False


OURS = "lec-diff"
PAPER = "lec-diff-paper"
INDEPENDENT = "lec-diff-independent"
BASE = "base"  # shipped; what forecasts a city that no model was trained for
WITHOUT_SURROUNDINGS, WITH_OTHERS_SURROUNDINGS = "drop-gei", "shuffled-gei"
WITH_IMAGE, WITH_TEXT, WITH_UNIFIED = "lec-diff-image", "lec-diff-text", "lec-diff-unified"
YESTERDAY = "seasonal-naive"
CITY_MEAN, NEAREST, LOOKALIKES = "city-mean", "nearest-station", "lookalikes"
PREFERRED = OURS  # what is used where no model is named
NAMES: dict[str, Named] = {
    OURS: Named("LEC-Diff", "form"),
    PAPER: Named("LEC-Diff, the paper's form", "form", slow=True),
    BASE: Named("Base model, untrained", "form"),
    "base-independent": Named("Base model, independent noise", "form"),
    "prior-only": Named("The formula around the network", "form"),
    "drop-sgf": Named("Drop SGF (no graph)", "part changed", "without the graph that ties stations together"),
    "keep-anomalies": Named(
        "Anomalies kept in the history", "part changed", "when anomalous stretches of the past count like all else"
    ),
    WITHOUT_SURROUNDINGS: Named(
        "Drop GEI (no surroundings)", "part changed", "without knowing the surroundings", surroundings=True
    ),
    WITH_OTHERS_SURROUNDINGS: Named(
        "Shuffled GEI (another station's surroundings)",
        "part changed",
        "with another station's surroundings",
        surroundings=True,
    ),
    WITH_IMAGE: Named("Image embedding alone", "part changed", "with the image's embedding alone", surroundings=True),
    WITH_TEXT: Named("Text embedding alone", "part changed", "with the text's embedding alone", surroundings=True),
    WITH_UNIFIED: Named(
        "Image + text embedding", "part changed", "with image and text embedded together", surroundings=True
    ),
    INDEPENDENT: Named("Independent noise", "part changed", "when each station draws its own noise"),
    "lec-diff-ar": Named("Autoregressive decoder", "part changed", "when the day is denoised step by step", slow=True),
    "lstm": Named("LSTM", "network"),
    "stgcn": Named("STGCN", "network"),
    "stid": Named("STID", "network"),
    "lstm+prior": Named("LSTM + seasonal mean", "network"),
    "stgcn+prior": Named("STGCN + seasonal mean", "network"),
    "stid+prior": Named("STID + seasonal mean", "network"),
    "wavenet": Named("WaveNet", "network"),
    "tmaf": Named("TMAF", "network"),
    "timegrad": Named("TimeGrad", "network", slow=True),
    "deepar": Named("DeepAR (GluonTS)", "library"),
    "patchtst": Named("PatchTST (GluonTS)", "library"),
    "lightgbm": Named("LightGBM quantiles", "library"),
    "statsforecast": Named("Statistical (statsforecast)", "library"),
    YESTERDAY: Named("Same time yesterday", "formula"),
    "climatology": Named("Climatology", "formula"),
    "adaptive-climatology": Named("Adaptive climatology", "formula"),
    CITY_MEAN: Named("Mean of the city", "formula", unseen=True),
    NEAREST: Named("Nearest station", "formula", unseen=True),
    LOOKALIKES: Named("Mean of the lookalikes", "formula", unseen=True),
}
SHIPPED = (BASE, "base-independent", "prior-only")  # nothing of them is fitted to a city
YARDSTICKS = tuple(name for name, model in NAMES.items() if model.role == "formula" and not model.unseen)
ABLATIONS = tuple(name for name, model in NAMES.items() if model.role == "part changed")
SLOW = tuple(name for name, model in NAMES.items() if model.slow)
OF_SURROUNDINGS = tuple(name for name, model in NAMES.items() if model.surroundings)


def label_of(name: str) -> str:
    """What a model is called; its own name where it is not known here."""
    return NAMES[name].label if name in NAMES else name
