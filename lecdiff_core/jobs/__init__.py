"""Long steps as background processes, recorded in the city folder."""
