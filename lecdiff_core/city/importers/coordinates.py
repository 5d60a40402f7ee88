"""Chinese map coordinates to WGS 84.

Maps made in China carry GCJ-02 (Amap, Tencent) or BD-09 (Baidu) coordinates, some hundred metres off WGS 84. Only the
way from WGS 84 is published as formulae; the way back is found by fixed-point iteration on them, to far below a metre.
"""

from collections.abc import Callable

import numpy as np

# The Krasovsky 1940 ellipsoid of the GCJ-02 formulae: semi-major axis in metres, eccentricity squared.
AXIS, ECCENTRICITY_SQUARED = 6378245.0, 0.00669342162296594323
BD_TURN = np.pi * 3000 / 180
# The box in which the offset applies.
WEST, EAST, SOUTH, NORTH = 72.004, 137.8347, 0.8293, 55.8271
# The offsets change by a few thousandths of a degree a degree, so each round gains two to three digits.
ROUNDS = 12

Shift = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def in_china(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Whether points lie in the box in which Chinese maps are offset, (N,) bool."""
    return (lon >= WEST) & (lon <= EAST) & (lat >= SOUTH) & (lat <= NORTH)


def wgs84_to_gcj02(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """GCJ-02 of points in China in WGS 84; degrees."""
    x, y = lon - 105.0, lat - 35.0
    wave = 20 * np.sin(6 * x * np.pi) + 20 * np.sin(2 * x * np.pi)
    north = -100 + 2 * x + 3 * y + 0.2 * y**2 + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x))
    north += (wave + 20 * np.sin(y * np.pi) + 40 * np.sin(y / 3 * np.pi)) * 2 / 3
    north += (160 * np.sin(y / 12 * np.pi) + 320 * np.sin(y * np.pi / 30)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x**2 + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x))
    east += (wave + 20 * np.sin(x * np.pi) + 40 * np.sin(x / 3 * np.pi)) * 2 / 3
    east += (150 * np.sin(x / 12 * np.pi) + 300 * np.sin(x / 30 * np.pi)) * 2 / 3
    latitude = np.radians(lat)
    curvature = 1 - ECCENTRICITY_SQUARED * np.sin(latitude) ** 2
    metres_a_radian_north = AXIS * (1 - ECCENTRICITY_SQUARED) / curvature**1.5
    metres_a_radian_east = AXIS / np.sqrt(curvature) * np.cos(latitude)
    return lon + np.degrees(east / metres_a_radian_east), lat + np.degrees(north / metres_a_radian_north)


def gcj02_to_bd09(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BD-09 of points in GCJ-02; degrees."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * BD_TURN)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * BD_TURN)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def wgs84_to_bd09(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BD-09 of points in China in WGS 84; degrees."""
    return gcj02_to_bd09(*wgs84_to_gcj02(lon, lat))


FORWARD: dict[str, Shift] = {"gcj02": wgs84_to_gcj02, "bd09": wgs84_to_bd09}


def to_wgs84(lon: np.ndarray, lat: np.ndarray, crs: str) -> tuple[np.ndarray, np.ndarray]:
    """WGS 84 of points in `crs` (gcj02 or bd09), (N,) degrees each; points outside China stay as they are."""
    forward, inside = FORWARD[crs], in_china(lon, lat)
    target_lon, target_lat = lon[inside], lat[inside]
    found_lon, found_lat = target_lon.copy(), target_lat.copy()
    for _ in range(ROUNDS):
        shifted_lon, shifted_lat = forward(found_lon, found_lat)
        found_lon += target_lon - shifted_lon
        found_lat += target_lat - shifted_lat
    result_lon, result_lat = np.array(lon, dtype=float), np.array(lat, dtype=float)
    result_lon[inside], result_lat[inside] = found_lon, found_lat
    return result_lon, result_lat
