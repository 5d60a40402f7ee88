"""Satellite chips: from tiles, archived releases or a GeoTIFF."""
