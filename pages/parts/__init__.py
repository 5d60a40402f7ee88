"""What pages share: cities, the session, the map, the charts, forecasts, formats."""
