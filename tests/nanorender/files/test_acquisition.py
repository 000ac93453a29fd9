from pathlib import Path

import numpy as np
import pytest
import tifffile

from nanorender.files.acquisition import Acquisition
from nanorender.files.micrograph import read_micrograph
from nanorender.files.microscopes import read_sidecars

GENUINE = Path(__file__).parents[4] / "shared" / "micrographs"
IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8)


def taken(path, *tags):
    """The conditions of a TIFF with extra tags: (code, type, value)."""
    extra = [(code, kind, 0, value, True) for code, kind, value in tags]
    tifffile.imwrite(path, IMAGE, extratags=extra, metadata=None)
    return read_micrograph(path).acquisition


ZEISS = (
    "\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 3.000 nm\r\n"
    "AP_WD\r\nWD = 2.8 mm\r\nAP_ACTUALKV\r\nEHT = 20.00 kV\r\n"
    "AP_MAG\r\nMag = 50.00 K X\r\nAP_DATE\r\nDate :18 Jul 2019\r\n"
)


def test_a_zeiss_header_gives_all_conditions(tmp_path):
    found = taken(tmp_path / "a.tif", (34118, "s", ZEISS))
    assert found == Acquisition(2.8, 20.0, 50_000.0, "2019-07-18")


def test_a_magnification_below_a_thousand_has_no_k(tmp_path):
    found = taken(tmp_path / "a.tif", (34118, "s", ZEISS.replace("50.00 K X", "157 X")))
    assert found.magnification == 157.0


def test_an_fei_header_gives_voltage_distance_and_a_date_in_doubt_as_written(tmp_path):
    text = (
        "[User]\nDate=01/10/2025\n[Beam]\nHV=5000\nBeam=EBeam\n[EBeam]\nHV=5000\nWD=0.010611\n"
        "[Scan]\nPixelWidth=4.5e-009\n[Image]\nResolutionX=80\nResolutionY=50\n"
    )
    found = taken(tmp_path / "a.tif", (34682, "s", text))
    assert found == Acquisition(10.611, 5.0, None, "01/10/2025")


def test_the_xml_of_thermo_fisher_gives_its_conditions(tmp_path):
    xml = (
        "<Metadata xmlns='http://schemas.example'><Acquisition><AcquisitionDatetime>"
        "2024-02-29T10:00:00</AcquisitionDatetime></Acquisition><Optics><AccelerationVoltage>2000"
        "</AccelerationVoltage><WorkingDistance>0.004</WorkingDistance></Optics><BinaryResult>"
        "<PixelSize><X unit='m'>6.25E-10</X></PixelSize></BinaryResult></Metadata>"
    )
    found = taken(tmp_path / "a.tif", (34683, "s", xml))
    assert found == Acquisition(4.0, 2.0, None, "2024-02-29")


def test_sidecars_give_their_conditions(tmp_path):
    (tmp_path / "hitachi.txt").write_text(
        "[SemImageFile]\nPixelSize=2.5\nAcceleratingVoltage=15000 Volt\nWorkingDistance=8100 um\n"
        "Magnification=50000\nDate=2021/03/04\n"
    )
    assert taken(tmp_path / "hitachi.tif") == Acquisition(8.1, 15.0, 50_000.0, "2021-03-04")
    (tmp_path / "jeol.txt").write_text(
        "$CM_ACCEL_VOLT 1.00\n$$SM_WD 3.78\n$CM_MAG 1000\n$CM_DATE 2023/07/13\n"
        "$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 1um\n"
    )
    assert taken(tmp_path / "jeol.tif") == Acquisition(3.78, 1.0, 1000.0, "2023-07-13")


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("WD = 2.8 mm", "WD = 2.8 furlong"),
        ("EHT = 20.00 kV", "EHT = -3.00 kV"),
        ("Mag = 50.00 K X", "Mag = nan"),
        ("Date :18 Jul 2019", "Date :"),
    ],
)
def test_a_broken_value_costs_only_itself(tmp_path, line, broken):
    whole = taken(tmp_path / "a.tif", (34118, "s", ZEISS))
    found = taken(tmp_path / "b.tif", (34118, "s", ZEISS.replace(line, broken)))
    assert sum(value is None for value in found) == 1
    assert set(found) - {None} < set(whole)


def test_a_file_without_a_header_tells_nothing(tmp_path):
    assert taken(tmp_path / "a.tif") == Acquisition()


@pytest.mark.skipif(
    not GENUINE.is_dir(), reason="the genuine micrographs in ../shared/micrographs are not here"
)
def test_genuine_headers_give_their_conditions():
    folder = GENUINE / "microscope_headers"
    zeiss = read_micrograph(GENUINE / "tio2_sem" / "1908248.tif").acquisition
    assert zeiss == Acquisition(2.8, 20.0, 50_000.0, "2019-07-18")
    fei = read_micrograph(folder / "quanta-fei_2_dataZeroed.tif").acquisition
    assert fei == Acquisition(10.611, 5.0, None, "01/10/2025")
    fibics = read_micrograph(folder / "orion-fibics_dataZeroed.tif").acquisition
    assert fibics == Acquisition(None, 30.0, None, "2025-05-27")
    orion = read_micrograph(folder / "orion-zeiss_dataZeroed.tif").acquisition
    assert orion == Acquisition(11.977, 29.997, None, None)
    tescan = read_micrograph(folder / "tescan-pfib_dataZeroed.tif").acquisition
    assert tescan == Acquisition(5.947501, 15.0, 160_000.0, "2025-12-03")
    jeol = read_sidecars(folder / "jeol_sidecar.tif", 960)
    assert jeol.acquisition == Acquisition(3.78, 1.0, 1000.0, "2023-07-13")
