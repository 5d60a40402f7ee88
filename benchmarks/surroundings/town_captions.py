"""Captions of a generated town's chips, written from what the generator put there: text to train the encoder on, and nothing else.

As SkyScript (Wang et al. 2024) captions satellite images from OpenStreetMap, so these are made from a town's plan. Only towns
painted for training are captioned so; the demo city and the towns the encoder is measured on are described from their chips alone.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from lecdiff_core.demo.objects.shapes import ROUND, WHITE
from lecdiff_core.demo.painting import Painter
from lecdiff_core.demo.plan import CLASSES, CODE, RIVER, Array, Plan
from lecdiff_core.demo.style import ROOFS, SEASONS

HALF = 320.0  # metres from the middle of a chip to its edge
CELLS = 32  # samples a side
LEAST = 0.012  # share of a chip from which a land use is spoken of
POINTS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
PAGE = {"north": "top", "south": "bottom", "west": "left", "east": "right"}

WHAT: dict[str, tuple[str, ...]] = {
    "centre": ("a densely built centre", "the old core of a town", "tight city blocks", "a compact town centre"),
    "dense housing": (
        "dense housing",
        "urban housing",
        "apartment blocks",
        "compact blocks of flats",
        "courtyard blocks",
    ),
    "suburban housing": (
        "detached housing",
        "suburban houses",
        "houses with gardens",
        "a residential estate",
        "small homes",
    ),
    "offices": ("offices", "office blocks", "a business district", "an office park"),
    "industry": (
        "industrial halls",
        "industry",
        "an industrial estate",
        "warehouses and factories",
        "works and storage yards",
    ),
    "campus": ("a campus", "a spacious campus", "a university or school campus", "campus buildings"),
    "stadium": ("a stadium", "a large stadium", "an arena", "a football stadium"),
    "shopping": ("a shopping centre", "a big shopping site", "retail halls", "a retail park"),
    "hospital": ("a hospital", "a large hospital-like complex", "a hospital complex", "a clinic with long wings"),
    "park": ("parkland", "a park", "green public space", "a landscaped park"),
    "farmland": ("farmland", "fields", "open farmland", "crop fields", "arable land"),
    "forest": ("woodland", "forest", "a dark wood", "closed woods"),
    "motorway": ("a motorway", "a multi-lane highway", "a divided highway", "a broad highway"),
    "rail": ("a railway", "railway tracks", "a railway line", "a two-track railway"),
    "yard": (
        "a rail yard",
        "a railway station",
        "a station with platforms and sidings",
        "railway sidings",
        "a rail yard with trains",
    ),
    "lake": ("a lake", "open water", "a large lake", "a pond"),
    "river": ("a river", "a wide river", "a curving river", "a waterway"),
}
BUILT = (
    "centre",
    "dense housing",
    "suburban housing",
    "offices",
    "industry",
    "campus",
    "stadium",
    "shopping",
    "hospital",
)
ACTIVITY: dict[str, tuple[str, ...]] = {
    "centre": (
        "workers and shoppers fill the centre by day",
        "the core is lively from morning to night",
        "shops and offices draw people all day",
    ),
    "dense housing": (
        "residents are home in the mornings and evenings",
        "people live here around the clock",
        "residents come and go all day",
    ),
    "suburban housing": (
        "residents leave in the morning and return in the evening",
        "people are at home in the evenings and at weekends",
        "families are home mornings and evenings",
    ),
    "offices": (
        "office staff come on weekdays",
        "employees are here in office hours",
        "the offices are busy on weekdays",
    ),
    "industry": (
        "shift and day workers come on weekdays",
        "deliveries and work go on during the day",
        "trucks and workers are here in working hours",
    ),
    "campus": (
        "people study and work here on weekdays",
        "students come during term days",
        "classes and research fill the weekdays",
    ),
    "stadium": (
        "crowds gather for matches and events",
        "large crowds arrive when events are held",
        "events bring crowds in bursts",
    ),
    "shopping": (
        "shoppers come in the daytime and on Saturdays",
        "customers fill the car parks during opening hours",
        "shopping draws people by day",
    ),
    "hospital": (
        "staff, patients and visitors come at all hours",
        "the hospital works day and night",
        "visitors and staff are here round the clock",
    ),
    "park": (
        "the park attracts people in the afternoon and at weekends",
        "people walk and play in the park in fine weather",
        "visitors come for leisure at weekends",
    ),
    "farmland": (
        "the fields are worked only now and then",
        "few people are about on the farmland",
        "hardly anybody is here except for field work",
    ),
    "forest": (
        "walkers come to the woods at weekends",
        "few people enter the forest",
        "the wood sees walkers now and then",
    ),
    "motorway": (
        "traffic passes on the highway at all hours",
        "through traffic flows day and night",
        "the highway is busiest at rush hour",
    ),
    "yard": (
        "travellers come and go with the trains",
        "commuters use the station in the morning and evening",
        "trains bring passengers through the day",
    ),
    "rail": ("trains pass through the day", "passing trains add travellers"),
}
ROOF_WORDS = {
    "clay": ("red tiled", "red", "terracotta", "reddish-brown", "orange and red"),
    "slate": ("dark grey", "slate-grey", "grey", "dark"),
    "brown": ("brown", "reddish-brown", "brown and grey"),
    "pale": ("pale", "beige", "light", "cream-coloured"),
}
CROP_WORDS = {
    "early summer": ("green and straw-coloured", "green and pale yellow", "lush green"),
    "late summer": ("yellow and tan", "straw-coloured", "golden and brown"),
    "autumn": ("brown and green", "ploughed brown", "tan and green"),
    "spring": ("green and bright yellow", "fresh green", "green and brown"),
}


class Captioner:
    """Writes about the chips of one town."""

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self.plan: Plan = painter.plan
        style = painter.style
        self.roofs = next(name for name, colours in ROOFS.items() if colours == style.roofs)
        self.season = next(name for name, colours in SEASONS.items() if colours["crop"] == style.crops)

    def captions(self, x: float, y: float, random: np.random.Generator, count: int) -> list[tuple[str, ...]]:
        """Descriptions of the chip around a ground point, each as its sentences; the last is a phrase as a person searches for."""
        chip = Chip(self, x, y)
        return [chip.description(random) for _ in range(count)] + [(chip.phrase(random),)]


class Chip:
    """What lies in one chip: shares and places of land uses, lines through it, single things."""

    def __init__(self, captioner: Captioner, x: float, y: float) -> None:
        self.of, self.middle = captioner, np.array([x, y])
        self.plan = captioner.plan
        side = (np.arange(CELLS) + 0.5) / CELLS * 2 * HALF - HALF
        self.east, self.north = (axis.ravel() for axis in np.meshgrid(side, side))
        self.ground = self.middle + np.column_stack([self.east, self.north])
        use = self.plan.classify(self.ground)
        self.masks = {name: use == CODE[name] for name in CLASSES if name not in ("water", "rail", "motorway")}
        self.masks["lake"] = self.plan.fields.in_lake(self.ground)
        self.masks["river"] = self.plan.fields.in_river(self.ground) & ~self.masks["lake"]
        self.masks["motorway"] = self.plan.fields.along("motorway", self.ground, 24.0)
        self.masks["rail"] = self.plan.fields.along("rail", self.ground, 16.0)
        stops = self.plan.rail_stops[np.abs(self.plan.rail_stops - self.middle).max(1) < HALF - 15]
        self.masks["yard"] = np.zeros(len(use), dtype=bool)
        for stop in stops:
            self.masks["yard"] |= np.hypot(*(self.ground - stop).T) < 100
        self.share = {name: float(mask.mean()) for name, mask in self.masks.items()}

    @cached_property
    def present(self) -> list[str]:
        """Land uses that show, largest first."""
        shown = [name for name, share in self.share.items() if share >= LEAST]
        if "yard" in shown and "rail" in shown:
            shown.remove("rail")
        return sorted(shown, key=lambda name: -self.share[name])

    @cached_property
    def objects(self) -> set[str]:
        """Single things among the buildings in the chip."""
        objects = set()
        cells: set[tuple[int, int]] = set()
        plan_points = self.plan.fields.distortion.to_plan(self.ground)
        town = self.plan.town_of(plan_points)
        for number in np.unique(town):
            at = town == number
            cell = self.plan.towns[number].cell(plan_points[at])
            cells |= {(int(number), int(one)) for one in np.unique(cell[cell >= 0])}
        for key in cells:
            scene = self.of.painter.ground.scene_of_cell(*key)
            for building in scene.buildings:
                if building.roof == ROUND and self._inside(building.ring.mean(0)):
                    objects.add("tanks")
            if scene.arena is not None and self._inside(scene.arena.field.mean(0)):
                objects.add("arena")
            for points, _, colour, _ in scene.lines:
                outline = np.asarray(points)
                if (
                    colour == WHITE
                    and len(outline) == 5
                    and np.ptp(outline, axis=0).max() > 55
                    and self._inside(outline.mean(0))
                ):
                    objects.add("pitch")
        return objects

    def _inside(self, point: Array, margin: float = 10.0) -> bool:
        return bool(np.abs(point - self.middle).max() < HALF - margin)

    # ---- places

    def place(self, name: str, random: np.random.Generator) -> str:
        """Where a land use lies: 'in the north-west', 'along the right edge', 'in the middle'."""
        mask = self.masks[name]
        east, north = self.east[mask].mean() / HALF, self.north[mask].mean() / HALF
        spread = float(np.hypot(self.east[mask] / HALF - east, self.north[mask] / HALF - north).mean())
        away = math.hypot(east, north)
        if away < 0.2:
            if spread > 0.6:
                return str(random.choice(["on several sides", "all around", "at the edges", "throughout"]))
            return str(random.choice(["in the middle", "at the centre", "in the centre"]))
        point = POINTS[round(math.atan2(north, east) / (math.pi / 4)) % 8]
        if "-" in point:
            if away > 0.95:
                return str(random.choice([f"in the {point} corner", f"in the {point}ern corner"]))
            first, second = point.split("-")
            side = "upper" if first == "north" else "lower"
            return str(
                random.choice(
                    [f"in the {point}", f"in the {side} {PAGE[second]}", f"to the {point}", f"in the {point}"]
                )
            )
        if away > 0.72:
            edge = str(random.choice([f"{point}ern", PAGE[point]]))
            return f"along the {edge} edge"
        return str(random.choice([f"in the {point}", f"on the {point}ern side", f"to the {point}", f"in the {point}"]))

    def way(self, name: str, random: np.random.Generator) -> str:
        """How a line runs: 'runs from north to south through the west'."""
        mask = self.masks[name]
        points = np.column_stack([self.east[mask], self.north[mask]])
        centred = points - points.mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred)
        if values[1] < 6 * values[0] or len(points) < 12:
            return f"{random.choice(['passes', 'lies', 'shows'])} {self.place(name, random)}"
        angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180
        ends = {
            0: ("west", "east"),
            45: ("south-west", "north-east"),
            90: ("north", "south"),
            135: ("north-west", "south-east"),
        }
        first, last = ends[round(angle / 45) % 4 * 45]
        if random.random() < 0.5:
            first, last = last, first
        verb = random.choice(["runs", "crosses", "passes", "leads"])
        course = f"{verb} from the {first} to the {last}"
        if "-" in first and random.random() < 0.5:
            course = str(random.choice(["crosses diagonally", "cuts through at a slant", "runs diagonally"]))
        where = self.place(name, random)
        return (
            course if where in ("throughout", "all around", "on several sides", "at the edges") else f"{course} {where}"
        )

    # ---- sentences

    def description(self, random: np.random.Generator) -> tuple[str, ...]:
        """Land use, buildings, roads and rail, vegetation and water, activity: those that there is something to say of."""
        said = [self._land_use, self._buildings, self._transport, self._nature, self._activity]
        return tuple(sentence(text) for write in said if (text := write(random)))

    def _land_use(self, random: np.random.Generator) -> str:
        areas = [name for name in self.present if name not in ("motorway", "rail", "river", "lake", "yard")]
        special = [name for name in ("stadium", "yard", "hospital", "shopping", "campus") if name in self.present]
        if not areas:
            return ""
        main = special[0] if special and self.share[special[0]] > 0.08 and random.random() < 0.6 else areas[0]
        others = [name for name in [*special, *areas] if name != main]
        others = list(dict.fromkeys(others))[: random.integers(1, 4)]
        share = self.share[main]
        head = named(main, random)
        singular = str(random.choice(["covers", "fills", "takes up", "occupies"]))
        many = {"covers": "cover", "fills": "fill", "takes up": "take up", "occupies": "occupy"}
        verb = many[singular] if plural(head) else singular
        if share > 0.85:
            much = str(random.choice(["nearly everything", "almost the whole area", "nearly all the land"]))
        elif share > 0.5:
            much = str(random.choice(["most of the area", "most of the ground", "more than half of the land"]))
        elif share > 0.3:
            much = str(random.choice(["a large part of the area", "much of the ground", "about a third of the land"]))
        else:
            much, verb = self.place(main, random), "stand" if plural(head) else str(random.choice(["stands", "lies"]))
        if 0.3 < share <= 0.85 and random.random() < 0.6:
            much += " " + self.place(main, random)
        rest = [f"{named(name, random)} {self.place(name, random)}" for name in others]
        if not rest:
            return f"{head} {verb} {much}"
        return f"{head} {verb} {much}, {random.choice(['with', 'beside', 'next to', 'with'])} {listed(rest)}"

    def _buildings(self, random: np.random.Generator) -> str:
        roof = random.choice(ROOF_WORDS[self.of.roofs])
        words: dict[str, tuple[str, ...]] = {
            "centre": (
                f"tightly packed buildings with {roof} roofs form closed blocks",
                f"narrow {roof}-roofed rows stand close together around small courts",
            ),
            "dense housing": (
                f"apartment rows with {roof} and flat grey roofs enclose green courtyards",
                f"long flat-roofed slabs and {roof}-roofed perimeter blocks stand close together",
            ),
            "suburban housing": (
                f"small detached houses with {roof} roofs stand in rows on their own plots",
                f"{roof}-roofed homes and short terraces line the streets",
            ),
            "offices": (
                "square flat-roofed office blocks and slabs stand well apart, some with dark panels",
                "large grey and white flat-roofed blocks with car parks between them",
            ),
            "industry": (
                "huge halls with grey and white metal roofs line the yards",
                "large flat sheds and warehouses stand among paved yards with lorries",
            ),
            "campus": (
                "large angular buildings of many shapes stand well apart on lawns",
                "long and cross-shaped flat-roofed buildings are spread over the grounds",
            ),
            "stadium": (
                "the oval arena has a white ring roof, coloured stands and a green pitch",
                "an oval stadium with stands around its pitch stands in a huge car park",
            ),
            "shopping": (
                "a huge pale flat-roofed hall and smaller boxes stand among full car parks",
                "big-box stores with white flat roofs face a sea of parked cars",
            ),
            "hospital": (
                "long parallel wings joined by a cross bar form a hospital with pale flat roofs",
                "a large building with several linked wings stands on lawns beside a car park",
            ),
            "yard": (
                "a long station building and platform roofs lie beside the tracks",
                "platforms with long roofs and standing trains mark the station",
            ),
        }
        parts = []
        for name in [one for one in self.present if one in words][: random.integers(2, 5)]:
            if name == "stadium" and "arena" not in self.objects:
                parts.append(f"a sports ground with pitches lies {self.place(name, random)}")
                continue
            where = f" {self.place(name, random)}" if random.random() < 0.55 else ""
            parts.append(str(random.choice(words[name])) + where)
        if "tanks" in self.objects:
            parts.append(str(random.choice(["round white storage tanks stand in a group", "a group of round tanks"])))
        if not parts:
            return str(
                random.choice(
                    ["hardly any buildings stand here, only a few farmsteads", "there are almost no buildings", ""]
                )
            )
        return listed(parts)

    def _transport(self, random: np.random.Generator) -> str:
        parts = [
            f"{named(name, random)} {self.way(name, random)}"
            for name in ("motorway", "rail")
            if self.share[name] >= LEAST
        ]
        if "yard" in self.present:
            parts.append(f"{named('yard', random)} {random.choice(['lies', 'spreads'])} {self.place('yard', random)}")
        if bridges := self.bridges:
            river = random.choice(["the river", "the water"])
            crossing = {1: "a bridge crosses", 2: "two bridges cross", 3: "three bridges cross"}
            parts.append(f"{crossing.get(bridges, f'{bridges} bridges cross')} {river}")
        if self.share["motorway"] >= LEAST and self.share["rail"] >= LEAST and random.random() < 0.4:
            parts.append("the highway and the railway meet here")
        if {"shopping", "stadium", "industry", "offices"} & set(self.present) and random.random() < 0.6:
            parts.append(
                str(random.choice(["filled car parks lie beside the buildings", "large car parks are full of cars"]))
            )
        streets = {
            "centre": "ring-shaped and radial streets frame the blocks",
            "dense housing": "streets with trees form a regular grid",
            "suburban housing": "narrow residential streets run in parallel",
            "farmland": "a few country roads and tracks cross the fields",
        }
        parts += [text for name, text in streets.items() if name in self.present[:3] and random.random() < 0.5][:1]
        return listed(parts)

    @cached_property
    def bridges(self) -> int:
        """Main roads that cross the river inside the chip."""
        if self.share["river"] < LEAST:
            return 0
        count = 0
        rivers = [curve for curve in self.plan.fields.curves if curve.kind == RIVER]
        for points, _, bridge in self.of.painter._net:
            inside = points[np.abs(points - self.middle).max(1) < HALF - 20] if bridge else points[:0]
            if len(inside) and any(
                (curve.distance(inside, curve.half_width) <= curve.half_width).any() for curve in rivers
            ):
                count += 1
        return min(count, 3)

    def _nature(self, random: np.random.Generator) -> str:
        parts = []
        crops = random.choice(CROP_WORDS[self.of.season])
        if "farmland" in self.present:
            texts = [f"{crops} fields and crop strips", f"{crops} crops with hedges", "orchard rows and striped fields"]
            parts.append(f"{random.choice(texts)} lie {self.place('farmland', random)}")
        if "forest" in self.present:
            parts.append(
                f"dark closed forest {random.choice(['stands', 'grows', 'lies'])} {self.place('forest', random)}"
            )
        if "park" in self.present:
            texts = [
                "lawns, paths and groups of trees",
                "a park with lawns and scattered trees",
                "park trees and meadows",
            ]
            parts.append(f"{random.choice(texts)} {self.place('park', random)}")
        if "lake" in self.present:
            parts.append(
                f"{named('lake', random)} {random.choice(['lies', 'reaches in', 'spreads'])} {self.place('lake', random)}"
            )
        if "river" in self.present:
            parts.append(f"{named('river', random)} {self.way('river', random)}")
        played = {"park", "stadium", "campus", "dense housing"} & set(self.present)
        if "pitch" in self.objects and played and random.random() < 0.7:
            parts.append(
                str(
                    random.choice(
                        [
                            "a sports pitch shows among the green",
                            "there is a football pitch",
                            "a sports field with white lines",
                        ]
                    )
                )
            )
        if "suburban housing" in self.present and random.random() < 0.6:
            parts.append(str(random.choice(["gardens with trees cover the plots", "every plot has trees and grass"])))
        elif "dense housing" in self.present and random.random() < 0.5:
            parts.append(
                str(
                    random.choice(
                        ["courtyards are green with trees", "trees stand in the courts and along the streets"]
                    )
                )
            )
        return listed([str(part) for part in random.permutation(parts)[:4]])

    def _activity(self, random: np.random.Generator) -> str:
        telling = [name for name in self.present if name in ACTIVITY]
        telling.sort(key=lambda name: name not in ("stadium", "shopping", "yard", "hospital", "campus"))
        return listed([str(random.choice(ACTIVITY[name])) for name in telling[: random.integers(1, 3)]])

    def phrase(self, random: np.random.Generator) -> str:
        """A few words as somebody searches for: one thing, or two beside each other."""
        rare = [
            name for name in self.present if name not in ("suburban housing", "dense housing", "farmland", "forest")
        ]
        things = rare if rare and random.random() < 0.75 else self.present
        if not things:
            return "open land"
        first = str(random.choice(things))
        if first == "stadium" and "arena" not in self.objects:
            return str(random.choice(["sports ground", "sports fields and a running track", "football pitches"]))
        single = bare(named(first, random))
        if "tanks" in self.objects and random.random() < 0.3:
            return str(random.choice(["storage tanks", "round tanks at an industrial site"]))
        if self.bridges and first == "river" and random.random() < 0.6:
            return str(random.choice(["bridge over a river", "river with bridges", "road bridge"]))
        others = [name for name in self.present if name != first]
        draw = random.random()
        if draw < 0.45 or not others:
            return single
        if draw < 0.6:
            return f"{single} {self.place(first, random)}"
        joint = random.choice(["beside", "next to", "near", "and", "along", "with"])
        return f"{single} {joint} {bare(named(str(random.choice(others)), random))}"


def named(name: str, random: np.random.Generator) -> str:
    """One of the ways to call a land use."""
    return str(random.choice(WHAT[name]))


def bare(text: str) -> str:
    """Without its article."""
    return text.removeprefix("a ").removeprefix("an ").removeprefix("the ")


def plural(text: str) -> bool:
    """Whether the verb after it is a plural's."""
    return text.split(" with ")[0].endswith("s") and not text.startswith(("a ", "an ", "the "))


def listed(parts: Sequence[str]) -> str:
    """Parts joined as in a sentence."""
    given = [part for part in parts if part]
    return given[0] if len(given) == 1 else ", ".join(given[:-1]) + ", and " + given[-1] if given else ""


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text[0].upper() + text[1:] + "."


def rare_places(plan: Plan, random: np.random.Generator, count: int) -> Array:
    """Ground points around which something rare lies, `(count, 2)`."""
    ground = random.uniform(-plan.half, plan.half, (40 * count, 2))
    use = plan.classify(ground)
    share = np.bincount(use, minlength=len(CLASSES)) / len(use)
    weight = 1 / np.maximum(share[use], 0.002) ** 0.75
    chosen = ground[random.choice(len(ground), count, replace=False, p=weight / weight.sum())]
    return chosen + random.uniform(-200, 200, chosen.shape)
