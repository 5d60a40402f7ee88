"""Surges and congestion."""
