"""Where the base stations of a plan stand, what surrounds each, its name and its capacity."""

from collections import defaultdict

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lecdiff_core.demo.plan import CLASSES, CODE, Array, Plan, to_lonlat

# Stations a square kilometre and least distance between two (m), by land use.
DENSITY = {
    "centre": (24, 150),
    "dense housing": (10, 190),
    "suburban housing": (4.6, 260),
    "offices": (15, 170),
    "industry": (5.5, 260),
    "campus": (10, 180),
    "stadium": (30, 120),
    "shopping": (14, 160),
    "hospital": (12, 160),
    "park": (4.5, 220),
    "water": (3, 220),
    "farmland": (0.45, 450),
    "forest": (0.55, 450),
    "motorway": (5, 350),
    "rail": (7, 240),
}
LEAST_OF_A_KIND = 4
SURROUNDINGS_RADIUS_M = 320.0
NAME_STARTS = (  # noqa: SIM905 (a list of 66 quoted words reads worse)
    "Alder Amber Ash Birch Brook Castle Cedar Chapel Clay Copper Crane Dove East Elm Fern Ferry Field Garnet Glass Grange "
    "Green Hazel Heron High Hollow Kiln King Lantern Lark Linden Long Low Maple Marsh Mead Mill Moss North Oak Old Orchard "
    "Otter Pearl Pine Priory Quarry Queen Raven Reed Rose Saffron Salt Silver South Stone Swan Thorn Tower Upper Vine Weaver "
    "West White Willow Wren Yew"
).split()
NAME_ENDS = {
    "centre": "Market,Square,Gate,Cross,Arcade",
    "dense housing": "Street,Row,Terrace,Court,Place",
    "suburban housing": "Gardens,Avenue,Close,Grove,Hill",
    "offices": "Exchange,Plaza,Quarter,House",
    "industry": "Works,Yard,Foundry,Depot",
    "campus": "College,Hall,Library,Faculty",
    "stadium": "Stand,Arena,Terraces,Turnstile",
    "shopping": "Mall,Retail Park,Outlet",
    "hospital": "Infirmary,Clinic,Hospital",
    "park": "Park,Common,Green,Meadow",
    "water": "Quay,Bank,Wharf,Shore",
    "farmland": "Farm,Fields,Acre,Barn",
    "forest": "Wood,Copse,Forest,Thicket",
    "motorway": "Junction,Interchange,Services,Viaduct",
    "rail": "Station,Sidings,Halt,Crossing",
}


def place_stations(plan: Plan, count: int) -> tuple[Array, NDArray[np.int64]]:
    """Ground positions `(count, 2)` and land-use codes `(count,)` of the stations.

    Sites are drawn with the density of their land use and kept apart from each other; every land use that the plan has
    gets at least four where the number of stations allows it.
    """
    rng = np.random.default_rng([plan.seed, 3])
    sites, use = _candidates(plan, rng, (80 if count <= 1000 else 30) * count)
    density = np.array([DENSITY[name][0] for name in CLASSES])[use]
    order = np.argsort(rng.exponential(size=len(use)) / density, kind="stable")
    for relax in (1.0, 0.7, 0.45, 0.0):
        chosen = _keep_apart(sites, use, order, count, relax)
        if len(chosen) == count:
            break
    chosen = chosen[np.lexsort((sites[chosen, 0], -np.round(sites[chosen, 1] / 400)))]
    return sites[chosen], use[chosen]


def _candidates(plan: Plan, rng: np.random.Generator, count: int) -> tuple[Array, NDArray[np.int64]]:
    """Random sites with their land use; sites in open water move to the nearest shore or away."""
    sites = rng.uniform(-plan.half, plan.half, (count, 2))
    use = plan.classify(sites)
    wet = np.flatnonzero(use == CODE["water"])
    angle = rng.uniform(0, 2 * np.pi, len(wet))
    sites[wet] += rng.uniform(60, 110, (len(wet), 1)) * np.column_stack([np.cos(angle), np.sin(angle)])
    dry = plan.classify(sites[wet])
    sunk = wet[np.isin(dry, [CODE["water"], CODE["motorway"], CODE["rail"]])]
    keep = np.setdiff1d(np.arange(count), sunk)
    keep = keep[(np.abs(sites[keep]) <= plan.half).all(axis=1)]
    return sites[keep], use[keep]


def _keep_apart(
    sites: Array, use: NDArray[np.int64], order: NDArray[np.int64], count: int, relax: float
) -> NDArray[np.int64]:
    """Take candidates in order, skipping those too near to one taken; the first four of each land use go before all."""
    apart = relax * np.array([DENSITY[name][1] for name in CLASSES])[use]
    cell_m = 460.0
    taken: dict[tuple[int, int], list[int]] = defaultdict(list)
    chosen: list[int] = []

    def fits(i: int, share: float) -> bool:
        x, y = sites[i]
        cx, cy = int(x // cell_m), int(y // cell_m)
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                for j in taken.get((cx + dx, cy + dy), ()):
                    if np.hypot(sites[j, 0] - x, sites[j, 1] - y) < max(90.0, share * min(apart[i], apart[j])):
                        return False
        return True

    def add(i: int) -> None:
        taken[int(sites[i, 0] // cell_m), int(sites[i, 1] // cell_m)].append(i)
        chosen.append(i)

    if count >= LEAST_OF_A_KIND * len(CLASSES):
        for code in range(len(CLASSES)):
            have = 0
            for i in order[use[order] == code].tolist():
                if have < LEAST_OF_A_KIND and fits(i, 0.75):
                    have += 1
                    add(i)
    for i in order.tolist():
        if len(chosen) == count:
            break
        if fits(i, 1.0):
            add(i)
    return np.array(chosen[:count])


def surroundings(plan: Plan, sites: Array) -> Array:
    """Share of each land use around each site, `(n, classes)`: a Gaussian-weighted disc as wide as a 640 m chip."""
    points = 91
    i = np.arange(points) + 0.5
    radius, angle = SURROUNDINGS_RADIUS_M * np.sqrt(i / points), i * np.pi * (3 - np.sqrt(5))
    offsets = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    weight = np.exp(-0.5 * (radius / 180.0) ** 2)
    weight /= weight.sum()
    shares = np.zeros((len(sites), len(CLASSES)))
    for start in range(0, len(sites), 4000):
        block = sites[start : start + 4000]
        use = plan.classify((block[:, None] + offsets).reshape(-1, 2)).reshape(len(block), points)
        for code in range(len(CLASSES)):
            shares[start : start + 4000, code] = (use == code) @ weight
    return shares


def station_table(sites: Array, use: NDArray[np.int64], planned_mean: Array, seed: int) -> gpd.GeoDataFrame:
    """The city folder's station table; `planned_mean` is the traffic per interval expected from the surroundings."""
    rng = np.random.default_rng([seed, 4])
    digits = max(3, len(str(len(sites))))
    steps = 100.0 * 2.0 ** (np.arange(18) / 2)
    need = 3.0 * planned_mean * np.exp(rng.normal(0, 0.15, len(sites)))
    capacity = steps[np.minimum(np.searchsorted(steps, need), len(steps) - 1)].round(-1)
    table = pd.DataFrame(
        {
            "station_id": [f"BS-{i + 1:0{digits}d}" for i in range(len(sites))],
            "name": _names(use, rng),
            "capacity": capacity.astype(np.float32),
        }
    )
    lonlat = to_lonlat(sites)
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(lonlat[:, 0], lonlat[:, 1]), crs="EPSG:4326")


def _names(use: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    used: dict[str, int] = defaultdict(int)
    names = []
    for code in use:
        start = NAME_STARTS[rng.integers(len(NAME_STARTS))]
        end = rng.choice(NAME_ENDS[CLASSES[code]].split(","))
        name = f"{start} {end}"
        used[name] += 1
        names.append(name if used[name] == 1 else f"{name} {used[name]}")
    return names
