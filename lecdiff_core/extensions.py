"""Parts from other packages, added before they are first asked for: models, layouts of files, samplers, views of the map.

A package names a function in its metadata, which is called without arguments and registers what it brings:

    [project.entry-points."lecdiff.models"]
    drift = "my_package.drift:register_drift"

The groups are `lecdiff.models`, `lecdiff.layouts`, `lecdiff.samplers` and `lecdiff.views`. So what is installed is known to the
command line, to background jobs and to the pages alike.
"""

from importlib.metadata import entry_points
from typing import Literal

from lecdiff_core.errors import UserError


def add_installed(kind: Literal["models", "layouts", "samplers", "views"]) -> None:
    """Call every function that an installed package names for `kind`. Raises UserError that names the package whose part fails."""
    for point in entry_points(group=f"lecdiff.{kind}"):
        try:
            point.load()()
        except Exception as error:  # anything: it is another package's code
            package = point.dist.name if point.dist else point.value
            raise UserError(
                f"the package {package} brings {point.name!r} for lecdiff.{kind}, which fails ({type(error).__name__}: {error}); "
                "update it, or uninstall it"
            ) from error
