"""What a visitor has chosen, and the keys of widgets."""
