"""Charts and what can be taken away of them."""
