"""Stations grouped by what their satellite images show."""

import numpy as np
import pandas as pd
from markupsafe import Markup

from lecdiff_core.city.folder import City
from pages.parts.data import surroundings, traffic_levels
from pages.parts.look import colours
from pages.parts.look.markup import maps
from pages.parts.map.views.base import Painted, View
from pages.parts.state.session import ALL_AHEAD

MIDDLE_SIZE = 0.35  # on the scale of sizes, as kinds have no amounts


class Kind(View):
    """Kinds of surroundings, a colour each."""

    key, label = "kind", "Kind of surroundings"
    meaning = "Stations grouped by what their satellite images show."
    offer = "embed", "Which stations look alike is not known yet. To find out:"
    lacking = "its stations have not been compared yet"

    def paint(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> Painted:  # noqa: ARG002
        """The stations."""
        kinds, _ = surroundings.kinds(city)
        ramp = np.array([[*colours.rgb(colours.kind(number)), colours.OPAQUE] for number in range(len(kinds.names))])
        labels = kinds.labels
        shades = np.where((labels >= 0)[:, None], ramp[labels], np.array(colours.NO_DATA))
        texts = [kinds.names[label] if label >= 0 else "no satellite chip" for label in labels.tolist()]
        return Painted(shades, traffic_levels.sizes(np.full(len(labels), MIDDLE_SIZE)), texts)

    def legend(self, city: City, origin: pd.Timestamp, step: int = ALL_AHEAD) -> str:  # noqa: ARG002
        """What the colours mean."""
        kinds, _ = surroundings.kinds(city)
        return kinds_legend(kinds.names, [int((kinds.labels == number).sum()) for number in range(len(kinds.names))])

    def depends(self, city: City) -> tuple:
        """On the embeddings."""
        return tuple(surroundings.version(city))

    def is_missing(self, city: City) -> bool:
        """Whether nothing was embedded."""
        return not surroundings.embedded(city)


def kinds_legend(names: tuple[str, ...], counts: list[int]) -> Markup:
    """A dot, the name and the number of stations of each kind."""
    named = enumerate(zip(names, counts, strict=True))
    return maps.kinds([(colours.kind(number), name, count) for number, (name, count) in named])
