"""Long steps as background processes, told of in the city folder."""
