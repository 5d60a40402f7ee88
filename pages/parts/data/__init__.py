"""What pages read: cities, forecasts, traffic, surges, measurements; read again when a file changed."""
