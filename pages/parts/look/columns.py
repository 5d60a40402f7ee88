"""How a page is divided."""

SIDES = (6, 5)  # widths of the map and of the panel
