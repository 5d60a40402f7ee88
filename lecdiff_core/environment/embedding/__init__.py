"""The contrastive image-text encoder and the embeddings it makes of a city."""
