from pathlib import Path

import numpy as np
import pytest
import tifffile

from nanorender.files.acquisition import Acquisition
from nanorender.files.microscopes import read_header, read_sidecars

GENUINE = Path(__file__).parents[4] / "shared" / "micrographs"
IMAGE = np.zeros((60, 80), np.uint8)

needs_genuine_files = pytest.mark.skipif(
    not GENUINE.is_dir(), reason="the genuine micrographs in ../shared/micrographs are not here"
)


def header(path):
    with tifffile.TiffFile(path) as tif:
        return read_header(path, tif, tif.pages.first.imagelength)


def written(path, tags=(), **options):
    """The header of a TIFF with extra tags: (code, type, value)."""
    extra = [(code, kind, 0, value, True) for code, kind, value in tags]
    tifffile.imwrite(
        path, IMAGE, extratags=extra, metadata=options.pop("metadata", None), **options
    )
    return header(path)


@pytest.mark.parametrize(
    ("file", "pixel_size_nm", "source", "rows"),
    [
        ("microscope_headers/orion-zeiss_dataZeroed.tif", 0.9765625, "ORION", 1024),
        ("microscope_headers/orion-fibics_dataZeroed.tif", 1.220703, "Fibics", None),
        ("microscope_headers/tescan-pfib_dataZeroed.tif", 1.5625, "TESCAN", 1280),
        ("microscope_headers/quanta-fei_2_dataZeroed.tif", 3.33333, "FEI", 884),
        ("tio2_sem/1908248.tif", 7.344, "Zeiss", None),
    ],
)
@needs_genuine_files
def test_genuine_headers_give_their_pixel_size(file, pixel_size_nm, source, rows):
    found = header(GENUINE / file)
    assert found.pixel_size_nm == pytest.approx(pixel_size_nm, rel=1e-6)
    assert found.source.startswith(("Zeiss " + source, source))
    assert found.image_rows == rows


@pytest.mark.parametrize("file", ["nanowires_sem/13.tif", "nanowires_sem/22.tif"])
@needs_genuine_files
def test_a_genuine_printer_resolution_is_no_pixel_size(file):
    assert header(GENUINE / file).pixel_size_nm is None


@needs_genuine_files
def test_genuine_sidecars_give_their_pixel_size():
    folder = GENUINE / "microscope_headers"
    jeol = read_sidecars(folder / "jeol_sidecar.tif", 960)
    assert jeol.pixel_size_nm == pytest.approx(94.34, rel=1e-4)
    tescan = read_sidecars(folder / "tescan-pfib_dataZeroed.png", 1578)
    assert (tescan.pixel_size_nm, tescan.image_rows) == (1.5625, 1280)


def test_the_image_pixel_size_of_zeiss_wins_over_that_of_a_1024_pixel_scan(tmp_path):
    text = (
        "\r\n0\r\nAP_PIXEL_SIZE\r\nPixel Size = 9.000 nm\r\n"
        "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 3.000 nm\r\n"
    )
    assert written(tmp_path / "a.tif", [(34118, "s", text)]).pixel_size_nm == 3.0


def test_the_pixel_size_of_a_1024_pixel_scan_is_scaled_to_the_width_stored(tmp_path):
    text = "\r\n0\r\nAP_PIXEL_SIZE\r\nPixel Size = 2.500 nm\r\n"
    found = written(tmp_path / "a.tif", [(34118, "s", text)])
    assert found.pixel_size_nm == pytest.approx(2.5 * 1024 / 80)


@pytest.mark.parametrize(("unit", "factor"), [("pm", 1e-3), ("nm", 1), ("\u00b5m", 1e3)])
def test_zeiss_units_are_read(tmp_path, unit, factor):
    text = f"\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 5.5 {unit}\r\n".encode("cp1252")
    found = written(tmp_path / "a.tif", [(34118, "s", text)])
    assert found.pixel_size_nm == pytest.approx(5.5 * factor)


def test_an_fei_header_gives_pixel_size_and_rows_above_its_bar(tmp_path):
    text = "[Scan]\nPixelWidth=4.5e-009\n[Image]\nResolutionX=80\nResolutionY=50\n"
    found = written(tmp_path / "a.tif", [(34682, "s", text)])
    assert found.pixel_size_nm == pytest.approx(4.5)
    assert found.image_rows == 50


def test_rows_of_an_fei_header_are_ignored_for_a_resized_image(tmp_path):
    text = "[EScan]\nPixelWidth=4.5e-009\n[Image]\nResolutionX=160\nResolutionY=50\n"
    assert written(tmp_path / "a.tif", [(34682, "s", text)]).image_rows is None


def test_the_xml_of_thermo_fisher_gives_its_pixel_size(tmp_path):
    xml = (
        "<Metadata xmlns='http://schemas.example'><BinaryResult><PixelSize>"
        "<X unit='m'>6.25E-10</X><Y unit='m'>6.25E-10</Y></PixelSize></BinaryResult></Metadata>"
    )
    found = written(tmp_path / "a.tif", [(34683, "s", xml)])
    assert found.pixel_size_nm == pytest.approx(0.625)


def test_a_tescan_header_gives_pixel_size_and_rows_above_its_bar(tmp_path):
    data = b"\x99\x15\x00\xff\x00AccFrames=1\nImageStripSize=12\nPixelSizeX=0.00000000125\n\x00"
    found = written(tmp_path / "a.tif", [(50431, "B", data)])
    assert found.pixel_size_nm == pytest.approx(1.25)
    assert found.image_rows == 48


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252"])
def test_hitachi_sidecars_are_read_in_any_encoding(tmp_path, encoding):
    text = "[SemImageFile]\r\nInstructName=SU8000\r\nPixelSize=24.80469\r\nDataSize=1280x960\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    found = written(tmp_path / "a.tif")
    assert found.pixel_size_nm == pytest.approx(24.80469)
    assert found.source == "Hitachi sidecar a.txt, PixelSize"


@pytest.mark.parametrize(("marker", "nm"), [("500nm", 5), ("1\u00b5m", 10), ("1um", 10)])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "cp1252"])
def test_jeol_sidecars_give_the_bar_over_its_pixels(tmp_path, marker, nm, encoding):
    text = f"$CM_MAG 5000\r\n$$SM_MICRON_BAR 100\r\n$$SM_MICRON_MARKER {marker}\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert written(tmp_path / "a.tif").pixel_size_nm == pytest.approx(nm)


@pytest.mark.parametrize(
    ("unit", "factor"), [("nm", 1), ("um", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3), ("mm", 1e6)]
)
def test_imagej_calibrations_are_read_in_their_unit(tmp_path, unit, factor):
    options = {"imagej": True, "resolution": (factor / 7.344, factor / 7.344)}
    found = written(tmp_path / "a.tif", metadata={"unit": unit}, **options)
    assert found.pixel_size_nm == pytest.approx(7.344, rel=1e-5)  # as near as older tifffiles write
    assert found.source == "ImageJ calibration"


def test_an_imagej_image_in_pixels_has_no_pixel_size(tmp_path):
    options = {"imagej": True, "resolution": (1, 1)}
    assert written(tmp_path / "a.tif", metadata={"unit": "pixel"}, **options).pixel_size_nm is None


def test_ome_metadata_are_read_in_micrometers_unless_they_name_a_unit(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, IMAGE, metadata={"axes": "YX", "PhysicalSizeX": 0.0125})
    assert header(path).pixel_size_nm == pytest.approx(12.5)
    in_nm = {"axes": "YX", "PhysicalSizeX": 3.5, "PhysicalSizeXUnit": "nm"}
    tifffile.imwrite(path, IMAGE, metadata=in_nm)
    assert header(path).pixel_size_nm == pytest.approx(3.5)


def test_plain_resolution_is_used_if_finer_than_a_printer(tmp_path):
    fine = written(tmp_path / "a.tif", resolution=(1e7 / 20, 1e7 / 20), resolutionunit="CENTIMETER")
    assert fine.pixel_size_nm == pytest.approx(20, rel=1e-6)
    printer = written(tmp_path / "b.tif", resolution=(300, 300), resolutionunit="INCH")
    assert printer.pixel_size_nm is None
    no_unit = written(tmp_path / "c.tif", resolution=(1e6, 1e6), resolutionunit="NONE")
    assert no_unit.pixel_size_nm is None


@pytest.mark.parametrize(
    "tag",
    [
        (34118, "s", "\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size\r\n"),
        (34118, "s", "\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 3 furlong\r\n"),
        (34118, "s", "\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 0 nm\r\n"),
        (34682, "s", "[Scan]\nPixelWidth=\n"),
        (34682, "s", "[Image]\nResolutionX=80\nResolutionY=x\n[Scan]\nPixelWidth=1e-9"),
        (34683, "s", "<Metadata><PixelSize><X>"),
        (34683, "s", "<PixelSize><X>NaN</X></PixelSize>"),
        (50431, "B", b"\x00PixelSizeX=eee\n"),
        (50431, "B", b"\x00PixelSizeX=1e300\n"),
        (51023, "s", "<?xml version='1.0' encoding='martian'?><Fibics><Scan><Ux>a</Ux></Scan>"),
        (65000, "B", b"<ImageTags><ScalingX><Value>1</Value></ScalingX></ImageTags>"),
        (65000, "B", b"<ImageTags \xff\xfe"),
    ],
)
def test_broken_header_affects_only_the_pixel_size(tmp_path, tag):
    found = written(tmp_path / "a.tif", [tag])
    assert found == (None, "no pixel size in the file", None, Acquisition())


def test_xml_entity_bomb_is_refused_quickly(tmp_path):
    entities = "".join(
        f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' if k else '<!ENTITY e0 "0123456789">'
        for k in range(12)
    )
    xml = f"<!DOCTYPE x [{entities}]><x><PixelSize><X>&e11;</X></PixelSize></x>"
    assert written(tmp_path / "a.tif", [(34683, "s", xml)]).pixel_size_nm is None
