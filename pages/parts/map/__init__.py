"""The map: tiles, stations, views, and what the server gives out for it."""
