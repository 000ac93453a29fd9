import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import cli
from nanorender.commands.analysis import app
from nanorender.errors import InputError
from nanorender.files.tiff import read_labels, write_labels
from nanorender.statistics.frame import FRAME_RULES


@pytest.fixture
def folders(tmp_path):
    """Label maps of two samples, and their truth: one particle of two is missing in the second."""
    for folder in ("labels", "truth"):
        (tmp_path / folder).mkdir()
    for name in ("a_1", "b_1"):
        truth = np.zeros((60, 80), np.int32)
        truth[10:30, 10:30], truth[35:55, 40:70] = 1, 2
        found = truth * (truth == 2) if name == "b_1" else truth
        write_labels(tmp_path / "truth" / f"{name}.tif", truth, 2.0)
        write_labels(tmp_path / "labels" / f"{name}.tif", found, 2.0)
    return tmp_path


def invoke(*words):
    found = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == 0
    return found.stdout


def test_scores_are_printed_as_tables_or_as_nothing_but_json(folders):
    text = invoke("evaluate", folders / "labels", folders / "truth")
    assert "Particles at IoU 0.5" in text
    told = json.loads(
        invoke(
            "evaluate",
            folders / "labels",
            folders / "truth",
            "--json",
            "-o",
            folders / "scores.csv",
        )
    )
    assert told["objects"]["0.50"]["mean"]["recall"] == pytest.approx(0.75)
    assert len(pd.read_csv(folders / "scores.csv")) == 2 * 10


def test_the_report_takes_a_size_and_samples(folders):
    out = folders / "report"
    labels = folders / "labels"
    said = invoke("report", labels, "--size", "min_feret", "--samples", "^[^_]+", "-o", out)
    assert said.split() == [str(out / "index.html")]
    rows = pd.read_csv(out / "statistics.csv")
    assert rows["name"].tolist() == ["a_1", "b_1", "a", "b", "all images"]
    assert rows["d50_nm"].tolist() == pytest.approx([40] * 5)
    with pytest.raises(InputError, match="does not match the image name 'a_1'"):
        invoke("report", labels, "--samples", "^x", "-o", folders / "other")
    assert not (folders / "other").exists()


def test_the_rules_for_particles_at_the_frame_are_those_of_the_registry(folders):
    for rule in FRAME_RULES:
        out = folders / rule
        invoke("report", folders / "labels", "--frame", rule, "-o", out)
        assert (
            json.loads((out / "summary.json").read_text())["summary"]["settings"][
                "frame_correction"
            ]
            == rule
        )
    wrong = CliRunner().invoke(app, ["report", str(folders / "labels"), "--frame", "x", "-o", "y"])
    assert wrong.exit_code == 2
    assert all(rule in wrong.output for rule in FRAME_RULES)


def test_scores_are_not_written_as_csv_under_another_name(folders):
    words = ["evaluate", folders / "labels", folders / "truth", "-o", folders / "scores.xlsx"]
    with pytest.raises(InputError, match=r"must end in \.csv"):
        invoke(*words)
    assert not (folders / "scores.xlsx").exists()


def test_masks_are_reported_and_scored_on_request(folders):
    (folders / "masks").mkdir()
    for name in ("a_1", "b_1"):
        labels, size = read_labels(folders / "truth" / f"{name}.tif")
        write_labels(folders / "masks" / f"{name}.tif", np.where(labels > 0, 255, 0), size)
    with pytest.raises(InputError, match="give --binary"):
        invoke("report", folders / "masks", "-o", folders / "report")
    invoke("report", folders / "masks", "-o", folders / "report", "--binary")
    assert len(pd.read_csv(folders / "report" / "particles.csv")) == 4
    told = invoke("evaluate", folders / "masks", folders / "truth", "--binary", "--json")
    assert json.loads(told)["objects"]["0.50"]["mean"]["recall"] == pytest.approx(1.0)


def test_images_that_are_not_read_are_noted(folders, capsys):
    (folders / "labels" / "overview.png").write_bytes(b"")
    cli.measure(folders / "labels", folders / "particles.csv", workers=1)
    noted = "note: images left out, since label maps are TIFF files (*.tif): 1 (overview.png)"
    assert noted in capsys.readouterr().err
