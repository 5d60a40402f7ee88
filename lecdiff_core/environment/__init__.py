"""Paper module 1, what stands around a station: imagery, description, refinement, embedding, neighbours."""
