"""How things look: formats, colours, words, tables."""
