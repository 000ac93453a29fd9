"""Conditions of acquisition in microscope headers: working distance, voltage, magnification, date.

One function per vendor. A value that is missing or cannot be read is None and costs nothing else.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from nanorender.files.pixelsize import length_nm

DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d %b %Y")
"""Dates without doubt about day and month, as Zeiss, TESCAN, JEOL and XML headers write them."""

LONGEST_DATE = 40

_VOLTS = {"v": 1.0, "volt": 1.0, "volts": 1.0, "kv": 1e3}


class Acquisition(NamedTuple):
    """Conditions under which a micrograph was taken, None where the header does not tell.

    Attributes
    ----------
    working_distance_mm
        Distance of the sample from the lens.
    voltage_kv
        Acceleration voltage.
    magnification
        Magnification that the microscope states, on the output medium of its maker.
    date
        Day, as YYYY-MM-DD unless the order of day and month in the header is not known.
    """

    working_distance_mm: float | None = None
    voltage_kv: float | None = None
    magnification: float | None = None
    date: str | None = None


NO_ACQUISITION = Acquisition()


def zeiss_acquisition(entries: Mapping[str, tuple]) -> Acquisition:
    """Read the conditions from the entries of a Zeiss SEM, tag 34118.

    Parameters
    ----------
    entries
        Name, value and unit by key, as tifffile returns them.

    Returns
    -------
    Acquisition

    Examples
    --------
    >>> zeiss_acquisition({"ap_mag": ("Mag", "50.00 K X"), "ap_wd": ("WD", 2.8, "mm")})
    Acquisition(working_distance_mm=2.8, voltage_kv=None, magnification=50000.0, date=None)
    """

    def entry(key: str) -> tuple[object, object]:
        _, value, unit, *_ = (*entries.get(key, ()), None, None, None)
        return value, unit

    value, _ = entry("ap_mag")
    thousands = re.fullmatch(r"\s*([\d.,]+)\s*K\s*X\s*", str(value), re.IGNORECASE)
    magnification = _scaled(thousands[1], 1e3) if thousands else _positive(value)
    return Acquisition(
        _millimeters(*entry("ap_wd")),
        _kilovolts(*entry("ap_actualkv")),
        magnification,
        _day(entry("ap_date")[0]),
    )


def orion_acquisition(root: Element) -> Acquisition:
    """Read the conditions from the XML of a Zeiss ORION, tag 65000.

    Parameters
    ----------
    root
        Element with the entries, each with a value and units.

    Returns
    -------
    Acquisition
    """

    def entry(key: str) -> tuple[str | None, str | None]:
        return root.findtext(f"{key}/Value"), root.findtext(f"{key}/Units")

    return Acquisition(
        _millimeters(*entry("WorkingDistance")), _kilovolts(*entry("AccelerationVoltage"))
    )


def fibics_acquisition(root: Element) -> Acquisition:
    """Read the conditions from the XML of Fibics, tag 51023.

    Parameters
    ----------
    root
        Root element.

    Returns
    -------
    Acquisition
    """
    items = {item.get("name"): item.text for item in root.iterfind("BeamInfo/item")}
    return Acquisition(
        voltage_kv=_kilovolts(items.get("AccV"), "V"), date=_day(root.findtext("Application/Date"))
    )


def fei_acquisition(sections: Mapping[str, Any]) -> Acquisition:
    """Read the conditions from the sections of FEI, tag 34682.

    Parameters
    ----------
    sections
        Values by key, by section, as tifffile returns them.

    Returns
    -------
    Acquisition

    Examples
    --------
    >>> fei_acquisition({"EBeam": {"HV": 5000, "WD": 0.0106}}).voltage_kv
    5.0
    """
    beam = sections.get(sections.get("Beam", {}).get("Beam", "EBeam"), {})
    volts = beam.get("HV", sections.get("Beam", {}).get("HV"))
    meters = beam.get("WD", sections.get("Stage", {}).get("WorkingDistance"))
    return Acquisition(
        _millimeters(meters, "m"),
        _kilovolts(volts, "V"),
        date=_day(sections.get("User", {}).get("Date")),
    )


def thermo_acquisition(root: Element) -> Acquisition:
    """Read the conditions from the XML of Thermo Fisher, tag 34683.

    Parameters
    ----------
    root
        Root element.

    Returns
    -------
    Acquisition
    """
    return Acquisition(
        _millimeters(root.findtext(".//{*}WorkingDistance"), "m"),
        _kilovolts(root.findtext(".//{*}AccelerationVoltage"), "V"),
        date=_day(root.findtext(".//{*}AcquisitionDatetime")),
    )


def tescan_acquisition(text: str) -> Acquisition:
    r"""Read the conditions from a header of TESCAN, tag 50431 or sidecar.

    Parameters
    ----------
    text
        Lines of ``key=value``, in SI units.

    Returns
    -------
    Acquisition

    Examples
    --------
    >>> tescan_acquisition("Date=2025-12-03\nHV=15000.0\nWD=0.006\nMagnification=160000.0\n")
    Acquisition(working_distance_mm=6.0, voltage_kv=15.0, magnification=160000.0, date='2025-12-03')
    """
    return Acquisition(
        _millimeters(_assigned(text, "WD"), "m"),
        _kilovolts(_assigned(text, "HV"), "V"),
        _positive(_assigned(text, "Magnification")),
        _day(_assigned(text, "Date")),
    )


def hitachi_acquisition(text: str) -> Acquisition:
    r"""Read the conditions from a sidecar of Hitachi.

    Parameters
    ----------
    text
        Lines of ``key=value``, with a unit.

    Returns
    -------
    Acquisition

    Examples
    --------
    >>> hitachi_acquisition("AcceleratingVoltage=5000 Volt\nWorkingDistance=8100 um\n")
    Acquisition(working_distance_mm=8.1, voltage_kv=5.0, magnification=None, date=None)
    """

    def split(key: str) -> tuple[str, str]:
        number, _, unit = (_assigned(text, key) or "").strip().partition(" ")
        return number, unit

    return Acquisition(
        _millimeters(*split("WorkingDistance")),
        _kilovolts(*split("AcceleratingVoltage")),
        _positive(_assigned(text, "Magnification")),
        _day(_assigned(text, "Date")),
    )


def jeol_acquisition(text: str) -> Acquisition:
    r"""Read the conditions from a sidecar of JEOL.

    Parameters
    ----------
    text
        Lines of ``$key value``: voltage in kV, working distance in mm.

    Returns
    -------
    Acquisition

    Examples
    --------
    >>> jeol_acquisition("$CM_ACCEL_VOLT 1.00\n$$SM_WD 3.78\n$CM_MAG 1000\n")
    Acquisition(working_distance_mm=3.78, voltage_kv=1.0, magnification=1000.0, date=None)
    """

    def value(key: str) -> str | None:
        found = re.search(rf"\${key}[ \t]+([^\r\n]+)", text)
        return found and found[1]

    return Acquisition(
        _millimeters(value("SM_WD"), "mm"),
        _kilovolts(value("CM_ACCEL_VOLT"), "kV"),
        _positive(value("CM_MAG")),
        _day(value("CM_DATE")),
    )


def _assigned(text: str, key: str) -> str | None:
    """Return the value of the line ``key=value``."""
    found = re.search(rf"^{key}[ \t]*=[ \t]*([^\r\n\0]+)", text, re.MULTILINE)
    return found and found[1]


def _positive(value: object) -> float | None:
    """Return a positive number, None for anything else."""
    return _scaled(value, 1.0)


def _scaled(value: object, factor: float) -> float | None:
    """Return a positive number in other units, free of the rounding of the conversion."""
    try:
        number = float(str(value).strip().replace(",", ".")) * factor
    except ValueError:
        return None
    return float(f"{number:.9g}") if math.isfinite(number) and number > 0 else None


def _millimeters(value: object, unit: object) -> float | None:
    """Convert a length to mm."""
    try:
        return _scaled(length_nm(value, unit), 1e-6)
    except (KeyError, ValueError):
        return None


def _kilovolts(value: object, unit: object) -> float | None:
    """Convert a voltage to kV."""
    factor = _VOLTS.get(str(unit).strip().lower())
    return None if factor is None else _scaled(value, factor / 1e3)


def _day(value: object) -> str | None:
    """Return the day as YYYY-MM-DD, or the text if its order is unknown."""
    text = value.strip() if isinstance(value, str) else ""
    for form in DATE_FORMATS:
        for candidate in (text, text[:10]):
            try:
                return datetime.strptime(candidate, form).date().isoformat()
            except ValueError:
                continue
    return text[:LONGEST_DATE] if text and text.isprintable() else None
