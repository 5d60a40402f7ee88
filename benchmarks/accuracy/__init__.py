"""How good forecasts, samples and surges are."""
