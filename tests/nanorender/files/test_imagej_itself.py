"""A round trip through ImageJ itself, where Debian's package `imagej` is installed."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nanorender.files.tiff import read_labels, write_image, write_labels
from nanorender.report.rois import write_rois

IMAGEJ = Path("/usr/share/java/ij.jar")
missing = [name for name in ("java", "xvfb-run") if shutil.which(name) is None]
missing += [] if IMAGEJ.is_file() else ["ImageJ"]
pytestmark = pytest.mark.skipif(
    bool(missing), reason=f"needs Debian's imagej and xvfb, without {', '.join(missing)}"
)

# Deletes the region of label 2, moves a side of that of label 3, and adds one.
MACRO = """
parts = split(getArgument(), "|");
open(parts[0]);
roiManager("open", parts[1]);
for (i = roiManager("count") - 1; i >= 0; i--) {
    roiManager("select", i);
    name = call("ij.plugin.frame.RoiManager.getName", i);
    if (matches(name, "0*2")) {
        roiManager("delete");
    } else if (matches(name, "0*3")) {
        makeRectangle(60, 20, 25, 20);
        roiManager("update");
    }
}
roiManager("deselect");
makeOval(20, 60, 24, 24);
roiManager("add");
roiManager("deselect");
roiManager("save", parts[2]);
"""


def edit_in_imagej(folder: Path, image: Path, rois: Path, edited: Path) -> None:
    """Run the macro on an image and its ROI set."""
    macro = folder / "edit.ijm"
    macro.write_text(MACRO)
    words = "|".join(str(path) for path in (image, rois, edited))
    done = subprocess.run(
        ["xvfb-run", "-a", "java", "-jar", str(IMAGEJ), "-batch", str(macro), words],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert edited.is_file(), f"{done.returncode}: {done.stdout}{done.stderr}"


def test_a_set_edited_in_imagej_is_measured(tmp_path):
    labels = np.zeros((100, 100), np.int32)
    labels[10:30, 10:30] = 1
    labels[40:52, 10:40] = 2
    labels[20:40, 60:80] = 3
    labels[60:80, 60:90] = 4
    labels[66:72, 70:80] = 0  # a hole, so a composite region
    (tmp_path / "labels").mkdir()
    write_labels(tmp_path / "labels" / "a.tif", labels, 2.0)
    write_image(tmp_path / "a.tif", np.full(labels.shape, 90, np.uint8), 2.0)
    write_rois(tmp_path / "a.zip", labels)
    edited = tmp_path / "edited.zip"
    edit_in_imagej(tmp_path, tmp_path / "a.tif", tmp_path / "a.zip", edited)
    with zipfile.ZipFile(edited) as archive:
        assert len(archive.namelist()) == 4

    words = ("measure", tmp_path / "labels" / "a.tif", "--rois", edited)
    options = ("--corrected", tmp_path / "corrected", "-o", tmp_path / "p.csv")
    done = subprocess.run(
        [sys.executable, "-m", "cli", *map(str, words), *map(str, options)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "a: 4 particles; 1 added, 1 removed, 1 changed" in done.stdout + done.stderr
    corrected, _ = read_labels(tmp_path / "corrected" / "a.tif")
    for label in (1, 4):
        assert np.array_equal(corrected == label, labels == label)
    assert not (corrected == 2).any()
    changed = np.zeros(labels.shape, bool)
    changed[20:40, 60:85] = True
    assert np.array_equal(corrected == 3, changed)
    added = corrected == 5
    assert added.sum() == pytest.approx(np.pi * 12**2, rel=0.03)
    assert (added[60:84, 20:44].sum(), added.sum()) == (added.sum(),) * 2
