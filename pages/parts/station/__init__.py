"""What stands beside the map: a station, several, the whole city."""
