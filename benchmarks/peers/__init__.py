"""Other libraries' models on the same windows (docs/peers.md)."""
