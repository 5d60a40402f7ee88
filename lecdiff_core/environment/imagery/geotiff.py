"""Square chips of the ground from a local GeoTIFF in any projection, resampled to metres around each station."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lecdiff_core.errors import UserError

if TYPE_CHECKING:
    import rasterio

EDGE_POINTS = 17


@contextmanager
def open_raster(path: Path) -> Iterator["rasterio.DatasetReader"]:
    """Open a GeoTIFF of 8-bit red, green and blue (or one grey band) that knows its projection. Raises UserError."""
    import rasterio
    from rasterio.errors import RasterioError

    if not path.is_file():
        raise UserError(f"there is no file {path}; give a GeoTIFF, a tile template with {{z}} {{x}} {{y}}, or arcgis")
    try:
        raster = rasterio.open(path, driver="GTiff")
    except RasterioError:
        raise UserError(f"{path} cannot be read as a GeoTIFF; convert it with gdal_translate") from None
    with raster:
        if raster.crs is None or raster.transform.is_identity:
            raise UserError(
                f"{path} does not say where it lies; add projection and extent with gdal_translate -a_srs -a_ullr"
            )
        if set(raster.dtypes) != {"uint8"}:
            raise UserError(
                f"{path} has {raster.dtypes[0]} values; scale it to 8 bits with gdal_translate -ot Byte -scale"
            )
        if raster.count not in (1, 3, 4):
            raise UserError(
                f"{path} has {raster.count} bands; give red, green and blue (gdal_translate -b 1 -b 2 -b 3)"
            )
        yield raster


def chip(raster: "rasterio.DatasetReader", longitude: float, latitude: float, metres: float, size: int) -> Image.Image:
    """Cut a square of `metres` a side centred on a point, north up, as `size` × `size` RGB pixels.

    Raises ValueError where the square does not lie wholly inside the raster, or where a part of it has no data.
    """
    from rasterio import Affine
    from rasterio.crs import CRS
    from rasterio.enums import ColorInterp, Resampling
    from rasterio.vrt import WarpedVRT

    frame = CRS.from_proj4(f"+proj=aeqd +lat_0={latitude!r} +lon_0={longitude!r} +datum=WGS84 +units=m")
    if not _inside(raster, frame, metres):
        raise ValueError("its chip is not wholly inside the raster")
    has_alpha = ColorInterp.alpha in raster.colorinterp
    with WarpedVRT(
        raster,
        crs=frame,
        transform=Affine(metres / size, 0, -metres / 2, 0, -metres / size, metres / 2),
        width=size,
        height=size,
        resampling=Resampling.cubic,
        add_alpha=not has_alpha,
    ) as square:
        bands = square.read()
    colour, alpha = bands[:-1], bands[-1]
    if alpha.min() == 0:
        raise ValueError("a part of its chip has no data in the raster")
    return Image.fromarray(np.moveaxis(colour if len(colour) == 3 else np.repeat(colour[:1], 3, axis=0), 0, -1))


def attribution(raster: "rasterio.DatasetReader") -> str:
    """What the file itself says of its rights, or nothing."""
    return str(raster.tags().get("TIFFTAG_COPYRIGHT", "")).strip()


def _inside(raster: "rasterio.DatasetReader", frame: object, metres: float) -> bool:
    from rasterio.warp import transform

    along = np.linspace(-metres / 2, metres / 2, EDGE_POINTS)
    side = np.full(EDGE_POINTS, metres / 2)
    east, north = np.concatenate([along, along, side, -side]), np.concatenate([side, -side, along, along])
    x, y = transform(frame, raster.crs, east.tolist(), north.tolist())
    inverse = ~raster.transform
    columns = inverse.a * np.array(x) + inverse.b * np.array(y) + inverse.c
    rows = inverse.d * np.array(x) + inverse.e * np.array(y) + inverse.f
    with np.errstate(invalid="ignore"):
        return bool(
            np.isfinite(columns).all()
            and ((columns >= 0) & (columns <= raster.width)).all()
            and ((rows >= 0) & (rows <= raster.height)).all()
        )
