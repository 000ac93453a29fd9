"""Content of microscope headers and of the text files beside images."""

import re
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tifffile import TiffFile, TiffPage

from nanorender.files.acquisition import (
    NO_ACQUISITION,
    Acquisition,
    fei_acquisition,
    fibics_acquisition,
    hitachi_acquisition,
    jeol_acquisition,
    orion_acquisition,
    tescan_acquisition,
    thermo_acquisition,
    zeiss_acquisition,
)
from nanorender.files.pixelsize import is_plausible, length_nm


class Header(NamedTuple):
    """Content of a microscope's header.

    Attributes
    ----------
    pixel_size_nm
        Edge length of a pixel, None if unknown.
    source
        Tag or file, and key, of the pixel size.
    image_rows
        Number of rows above the info bar, None if unknown.
    acquisition
        Working distance, voltage, magnification and date, where the header has them.
    """

    pixel_size_nm: float | None
    source: str
    image_rows: int | None = None
    acquisition: Acquisition = NO_ACQUISITION


LARGEST_PLAIN_PIXEL_NM = 1e3
"""Coarser TIFF resolutions are printer settings: 300 dpi are 84667 nm."""

LONGEST_SIDECAR = 1 << 20

# Exceptions of parsers on broken headers, which cost the pixel size but never the image.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    ElementTree.ParseError,
    LookupError,
    TypeError,
    ValueError,
    struct.error,
)


def read_header(path: Path, tif: TiffFile | None, height: int) -> Header:
    """Read the pixel size from the most reliable source: vendor tags, sidecars, general metadata.

    Parameters
    ----------
    path
        The image file; sidecars lie beside it under the same name.
    tif
        The open file if it is a TIFF.
    height
        Rows of the image in the file.

    Returns
    -------
    Header
        Its pixel size is None if there is none.
    """
    found = _from_tags(tif.pages.first, TAG_READERS) if tif else None
    if found is None:
        found = read_sidecars(path, height)
    if found is None and tif is not None:
        found = _imagej(tif) or _from_tags(tif.pages.first, GENERAL_READERS)
    if found is None:
        return Header(None, "no pixel size in the file")
    rows = found.image_rows
    return found if rows and 0 < rows < height else found._replace(image_rows=None)


def _from_tags(
    page: Any, readers: tuple[Callable[[TiffPage], Header | None], ...]
) -> Header | None:
    """Return the first header with a plausible pixel size."""
    for reader in readers:
        try:
            found = reader(page)
        except _BROKEN:
            continue
        if found is not None and is_plausible(found.pixel_size_nm):
            return found
    return None


def _text(value: object) -> str:
    """Return the text of a tag stored as bytes or text."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def _xml(value: object) -> ElementTree.Element:
    """Parse the XML in a tag, ignoring its declared encoding."""
    text = _text(value).rstrip("\0 \r\n\t")
    return ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))


def _zeiss_orion(page: TiffPage) -> Header | None:
    """Tag 65000 of Zeiss ORION: XML, ``ScalingX`` and the height without info bar."""
    value = page.tags.valueof(65000)
    if not _text(value).startswith("<ImageTags"):
        return None
    root = _xml(value)
    size_nm = length_nm(root.findtext("ScalingX/Value"), root.findtext("ScalingX/Units"))
    rows = int(root.findtext("ImageHeight/Value") or 0)
    return Header(size_nm, "Zeiss ORION tag 65000, ScalingX", rows, orion_acquisition(root))


def _fibics(page: TiffPage) -> Header | None:
    """Tag 51023 of Fibics: XML, the unit vector ``Ux, Uy`` of the scan in micrometers."""
    value = page.tags.valueof(51023)
    if not value:
        return None
    root = _xml(value)
    scan = root.find("Scan")
    if scan is None:
        return None
    ux, uy = (float(scan.findtext(key) or 0) for key in ("Ux", "Uy"))
    size_nm = (ux * ux + uy * uy) ** 0.5 * 1e3
    return Header(size_nm, "Fibics tag 51023, Ux", acquisition=fibics_acquisition(root))


def _zeiss_sem(page: TiffPage) -> Header | None:
    """Tag 34118 of Zeiss SEM.

    AP_IMAGE_PIXEL_SIZE applies to the stored image. AP_PIXEL_SIZE, the only one of older
    microscopes, applies to a scan of 1024 pixels.
    """
    entries = page.tags.valueof(34118)
    if not isinstance(entries, dict):
        return None
    if "ap_image_pixel_size" in entries:
        size_nm = length_nm(*entries["ap_image_pixel_size"][1:3])
        source = "Zeiss tag 34118, AP_IMAGE_PIXEL_SIZE"
    elif "ap_pixel_size" in entries:
        size_nm = length_nm(*entries["ap_pixel_size"][1:3]) * 1024 / page.imagewidth
        source = "Zeiss tag 34118, AP_PIXEL_SIZE of a 1024-pixel scan"
    else:
        return None
    return Header(size_nm, source, acquisition=zeiss_acquisition(entries))


def _fei(page: TiffPage) -> Header | None:
    """Tag 34682 of FEI and Thermo Fisher: ``PixelWidth`` in meters, ``ResolutionY`` rows."""
    sections = page.tags.valueof(34682)
    if not isinstance(sections, dict):
        return None
    image = sections.get("Image", {})
    own_width = image.get("ResolutionX") == page.imagewidth
    rows = int(image["ResolutionY"]) if own_width else None
    for section in ("Scan", "EScan", "IScan"):
        width = sections.get(section, {}).get("PixelWidth")
        if isinstance(width, (int, float)) and width > 0:
            source = f"FEI tag 34682, {section}.PixelWidth"
            return Header(width * 1e9, source, rows, fei_acquisition(sections))
    return None


def _thermo(page: TiffPage) -> Header | None:
    """Tag 34683 of Thermo Fisher: XML, ``PixelSize/X`` in meters or the unit given."""
    value = page.tags.valueof(34683)
    if not value:
        return None
    root = _xml(value)
    size = root.find(".//{*}PixelSize/{*}X")
    if size is None:
        return None
    size_nm = length_nm(size.text, size.get("unit", "m"))
    source = "Thermo Fisher tag 34683, PixelSize.X"
    return Header(size_nm, source, acquisition=thermo_acquisition(root))


def _tescan(page: TiffPage) -> Header | None:
    """Tag 50431 of TESCAN: lines of ``key=value`` between binary blocks."""
    text = _text(page.tags.valueof(50431))
    return _tescan_text(text, page.imagelength, "TESCAN tag 50431") if text else None


def _tescan_text(text: str, height: int, source: str) -> Header | None:
    """TESCAN ``.hdr`` sidecar: ``PixelSizeX`` in meters, ``ImageStripSize`` rows of info bar."""
    size_m = re.search(r"PixelSizeX=([-+.\deE]+)", text)
    if size_m is None:
        return None
    strip = re.search(r"ImageStripSize=(\d{1,9})", text)
    rows = height - int(strip[1]) if strip else None
    size_nm = float(size_m[1]) * 1e9
    return Header(size_nm, f"{source}, PixelSizeX", rows, tescan_acquisition(text))


def _jeol_text(text: str, _height: int, source: str) -> Header | None:
    """JEOL ``.txt`` sidecar: length of the micron bar over its pixels."""
    pixels = re.search(r"\$SM_MICRON_BAR\s+([\d.]+)", text)
    marker = re.search(r"\$SM_MICRON_MARKER\s+([\d.]+)\s*(\S+)", text)
    if pixels is None or marker is None:
        return None
    # The encoding depends on the console and may garble the micro sign: "?m" is um.
    unit = "um" if re.fullmatch(r"\W+m", marker[2]) else marker[2]
    size_nm = length_nm(marker[1], unit) / float(pixels[1])
    source = f"{source}, SM_MICRON_MARKER over SM_MICRON_BAR"
    return Header(size_nm, source, acquisition=jeol_acquisition(text))


def _hitachi_text(text: str, _height: int, source: str) -> Header | None:
    """Hitachi ``.txt`` sidecar: ``PixelSize`` in nm."""
    if "[SemImageFile]" not in text and "[TemImageFile]" not in text:
        return None
    size_nm = re.search(r"^PixelSize\s*=\s*([\d.,eE+-]+)", text, re.MULTILINE)
    if size_nm is None:
        return None
    acquisition = hitachi_acquisition(text)
    return Header(length_nm(size_nm[1], "nm"), f"{source}, PixelSize", acquisition=acquisition)


def read_sidecars(path: Path, height: int) -> Header | None:
    """Read the pixel size from a text file beside the image: TESCAN, JEOL or Hitachi.

    Parameters
    ----------
    path
        The image file, or the sidecar itself.
    height
        Rows of the image in the file.

    Returns
    -------
    Header or None
        None if no sidecar holds a plausible pixel size.
    """
    dashed = path.with_name(f"{path.stem}-{path.suffix.lstrip('.')}.hdr")
    names = [path.with_suffix(end) for end in (".txt", ".TXT", ".hdr", ".HDR")]
    for sidecar in (*names, path.with_name(path.name + ".txt"), dashed):
        try:
            with sidecar.open("rb") as file:
                text = _decoded(file.read(LONGEST_SIDECAR))
        except OSError:
            continue
        for vendor, reader in SIDECAR_READERS:
            try:
                found = reader(text, height, f"{vendor} sidecar {sidecar.name}")
            except _BROKEN:
                continue
            if found is not None and is_plausible(found.pixel_size_nm):
                return found
    return None


def _decoded(data: bytes) -> str:
    """Decode text in UTF-16 with or without byte order mark, UTF-8 or Windows-1252."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:64]:
        big_endian = data[:1] == b"\0"
        return data.decode("utf-16-be" if big_endian else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _ome(page: TiffPage) -> Header | None:
    """OME-XML in the description: ``PhysicalSizeX`` in micrometers or the unit given."""
    description = page.description
    if "<OME" not in description:
        return None
    pixels = _xml(description).find(".//{*}Pixels")
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return None
    unit = pixels.get("PhysicalSizeXUnit", "um")
    return Header(length_nm(pixels.get("PhysicalSizeX"), unit), "OME-XML, PhysicalSizeX")


def _pixels_per_unit(page: TiffPage) -> float:
    """Return XResolution, a ratio of two integers."""
    numerator, denominator = page.tags.valueof(282)
    return numerator / denominator


def _imagej(tif: TiffFile) -> Header | None:
    """ImageJ: pixels per unit in XResolution, ``unit`` in the description."""
    try:
        metadata = tif.imagej_metadata
        if not metadata or "unit" not in metadata:
            return None
        page: Any = tif.pages.first
        size_nm = length_nm(1 / _pixels_per_unit(page), metadata["unit"])
    except _BROKEN:
        return None
    # Round off the error of a ratio of two 32-bit integers.
    size_nm = float(f"{size_nm:.9g}")
    return Header(size_nm, "ImageJ calibration") if is_plausible(size_nm) else None


def _resolution(page: TiffPage) -> Header | None:
    """Plain XResolution and ResolutionUnit, unless too coarse for a microscope."""
    unit = {2: "inch", 3: "cm"}.get(int(page.tags.valueof(296, 0)))
    if unit is None:
        return None
    size_nm = float(f"{length_nm(1 / _pixels_per_unit(page), unit):.9g}")
    return Header(size_nm, "TIFF resolution") if size_nm <= LARGEST_PLAIN_PIXEL_NM else None


TAG_READERS = (_zeiss_orion, _fibics, _zeiss_sem, _fei, _thermo, _tescan)
SIDECAR_READERS = (("TESCAN", _tescan_text), ("JEOL", _jeol_text), ("Hitachi", _hitachi_text))
GENERAL_READERS = (_ome, _resolution)
