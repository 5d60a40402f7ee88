"""The measurement protocol: scores, backtests, results, and calibration after the fact."""
