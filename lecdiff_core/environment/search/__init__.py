"""Stations by their surroundings: a sentence, lookalikes, clusters."""
