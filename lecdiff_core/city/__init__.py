"""What is known of a city: its folder on disk, importers into it, and the windows cut from its traffic."""
