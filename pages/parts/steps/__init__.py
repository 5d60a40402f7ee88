"""Steps of a city as forms and background jobs."""
