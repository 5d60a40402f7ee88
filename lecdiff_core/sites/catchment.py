"""What a new site would take from its neighbours, by the ground that becomes nearer to it.

An estimate with a plain assumption: a station serves the ground that lies nearer to it than to any other, up to a reach, and its
traffic is spread evenly over that ground; a new site takes the ground that is nearest to it from now on (a Voronoi cell; Okabe et
al. 2000, *Spatial Tessellations*). Terrain, antenna directions, frequencies and load balancing are left out.
"""

import numpy as np
from scipy.spatial import cKDTree

ASSUMPTION = (
    "what a site takes from its neighbours is an estimate: each station's traffic is spread evenly over the ground nearest to it, "
    "and the site takes the ground that becomes nearest to it; terrain, antennas and load balancing are left out"
)
REACH = 2.0  # usual distances of nearest stations: as far as a station serves
POINTS = 1000  # of a station's disc


def shares_taken(site: np.ndarray, stations: np.ndarray, usual: float) -> np.ndarray:
    """(N,) share of each station's ground that a new site takes.

    site: (2,), stations: (N, 2), both in metres.  usual: the median distance of nearest stations, metres.
    """
    reach = REACH * usual
    shares = np.zeros(len(stations))
    near = np.flatnonzero(np.linalg.norm(stations - site, axis=1) <= 2 * reach)
    if not len(near):
        return shares
    points = stations[near, None] + _disc(reach)
    distance, nearest = cKDTree(stations).query(points)
    own = nearest == near[:, None]
    taken = own & (np.linalg.norm(points - site, axis=2) < distance)
    shares[near] = taken.sum(1) / np.maximum(own.sum(1), 1)
    return shares


def shares_left(gone: int, off: np.ndarray, stations: np.ndarray, usual: float) -> np.ndarray:
    """(N,) how the ground of a station that is switched off is shared among those that stay; sums to 1 where there are any.

    off: rows of all stations that are switched off, `gone` among them.
    """
    others = np.setdiff1d(np.arange(len(stations)), off)
    shares = np.zeros(len(stations))
    if not len(others):
        return shares
    points = stations[gone] + _disc(REACH * usual)
    own = cKDTree(stations).query(points)[1] == gone
    heirs = others[cKDTree(stations[others]).query(points[own] if own.any() else stations[[gone]])[1]]
    return np.bincount(heirs, minlength=len(stations)) / len(heirs)


def _disc(radius: float) -> np.ndarray:
    """(POINTS, 2) even over a disc (Vogel's spiral)."""
    i = np.arange(POINTS) + 0.5
    angle = i * np.pi * (3 - np.sqrt(5))
    return radius * np.sqrt(i / POINTS)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
