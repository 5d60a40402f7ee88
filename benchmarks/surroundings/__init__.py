"""What imagery, descriptions and embeddings are worth."""
