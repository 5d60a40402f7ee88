"""Every land use in one place."""

from lecdiff_core.demo.objects.housing import Housing
from lecdiff_core.demo.objects.workplaces import Workplaces


class Furnisher(Housing, Workplaces):
    """Fills one cell (or one piece of country) with objects: a method for each land use."""
