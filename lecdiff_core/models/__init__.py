"""Forecasting models behind one protocol: LEC-Diff, its presets and ablations, and the yardsticks beside it."""
