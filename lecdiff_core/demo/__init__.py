"""The synthetic demo town: land-use plan, aerial rendering, traffic, planted events, and towns of any size."""
