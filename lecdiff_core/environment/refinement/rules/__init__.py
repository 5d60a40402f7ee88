"""The refinement's rules as data: `filters.toml` (regular filters) and `claims.toml` (claims and what contradicts them)."""
