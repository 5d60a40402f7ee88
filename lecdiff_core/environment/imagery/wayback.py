"""Esri Wayback: the archived releases of World Imagery, read from its own list (WMTS capabilities) at run time."""

import os
import re
from dataclasses import dataclass
from datetime import date
from xml.etree import ElementTree

from lecdiff_core.addresses import check_url
from lecdiff_core.errors import UserError
from lecdiff_core.web import Web, WebError

WAYBACK_URL = "https://wayback.maptiles.arcgis.com/arcgis/rest/services/World_Imagery"
LARGEST_LIST = 16 * 1024 * 1024
LAYER = "{http://www.opengis.net/wmts/1.0}Layer"
TITLE = "{http://www.opengis.net/ows/1.1}Title"
RESOURCE = "{http://www.opengis.net/wmts/1.0}ResourceURL"


@dataclass(frozen=True)
class Release:
    """One archived release: when it was published (not when its pictures were taken), and its tiles."""

    published: date
    number: str
    template: str


def wayback_url() -> str:
    """The service's address; the environment variable LECDIFF_WAYBACK_URL overrides it."""
    url = os.environ.get("LECDIFF_WAYBACK_URL") or WAYBACK_URL
    check_url(url, "LECDIFF_WAYBACK_URL")
    return url.rstrip("/")


def parse_month(text: str) -> date:
    """The middle of a month given as YYYY-MM. Raises UserError."""
    if match := re.fullmatch(r"(\d{4})-(\d{2})", text):
        try:
            return date(int(match[1]), int(match[2]), 15)
        except ValueError:
            pass
    raise UserError(f"the date {text!r} is not a month such as 2021-02")


def releases(web: Web) -> list[Release]:
    """Every release the service lists, oldest first. Raises WebError."""
    base = wayback_url()
    return web.get(f"{base}/MapServer/WMTS/1.0.0/WMTSCapabilities.xml", lambda body: parse(body, base), LARGEST_LIST)


def parse(capabilities: bytes, base: str) -> list[Release]:
    """Read the releases out of the capabilities document. Raises WebError where there are none."""
    if b"<!DOCTYPE" in capabilities or b"<!ENTITY" in capabilities:
        raise WebError("the list of releases declares entities and is not read")
    try:
        root = ElementTree.fromstring(capabilities)  # noqa: S314 (declares no entities, see above)
    except ElementTree.ParseError:
        raise WebError("the list of releases is not XML") from None
    releases = [release for layer in root.iter(LAYER) if (release := _release(layer, base))]
    if not releases:
        raise WebError("the list of releases is empty")
    return sorted(releases, key=lambda release: release.published)


def nearest(releases: list[Release], wanted: date) -> Release:
    """The release published nearest to a day."""
    return min(releases, key=lambda release: abs(release.published - wanted))


def _release(layer: ElementTree.Element, base: str) -> Release | None:
    title = re.search(r"\d{4}-\d{2}-\d{2}", layer.findtext(TITLE) or "")
    resource = layer.find(RESOURCE)
    number = re.search(r"/tile/(\d+)/", resource.get("template", "") if resource is not None else "")
    if not title or not number:
        return None
    try:
        published = date.fromisoformat(title[0])
    except ValueError:
        return None
    tiles = f"{base}/WMTS/1.0.0/GoogleMapsCompatible/MapServer/tile/{number[1]}/{{z}}/{{y}}/{{x}}"
    return Release(published, number[1], tiles)
