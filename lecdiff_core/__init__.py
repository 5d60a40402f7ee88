"""The model core of LEC-Diff: city folders, surroundings, graph fusion, conditional diffusion, forecasts.

Knows nothing of the application (streamlit, pydeck, plotly). `docs/architecture.md` draws the rooms.
"""

__version__ = "0.1.0"
