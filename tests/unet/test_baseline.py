import csv

import pytest

from nanorender.errors import InputError
from nanorender.files.collection import Reading, read_collection
from nanorender.files.tiff import write_image, write_labels
from unet.baseline import Fold, format_folds, leave_one_out
from unet.checkpoint import read_model
from unet.run_folder import read_log


@pytest.fixture
def annotated(tmp_path, discs):
    """Two annotated micrographs."""
    folder = tmp_path / "annotated"
    folder.mkdir()
    for index in range(2):
        image, labels = discs(30 + index)
        write_image(folder / f"{index}.tif", image, 6.0)
        write_labels(folder / f"{index}_m.tif", labels, 6.0)
    return folder


def test_each_micrograph_is_scored_by_a_network_that_never_saw_it(annotated, small, tmp_path):
    micrographs = read_collection(annotated, Reading(truth="_m"))
    out = tmp_path / "out"
    seen = []
    folds = leave_one_out(micrographs, small, out, lambda image, now: seen.append(image))
    assert [fold.image for fold in folds] == ["0", "1"]
    assert set(seen) == {"0", "1"}
    for fold in folds:
        run = out / "runs" / fold.image
        errors = {line.epoch: line.error[fold.image] for line in read_log(run)}
        assert errors[fold.epoch] == pytest.approx(min(errors.values()), rel=1e-3)
        card, _ = read_model(run)
        assert (card.epoch, card.annotated_images) == (fold.epoch, 1)
        assert fold.true > 5
    with (out / "baseline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["f1"]) for row in rows] == [fold.f1 for fold in folds]
    shas = [read_model(out / "runs" / name)[0].dataset_sha256 for name in "01"]
    assert shas[0] != shas[1]
    seen.clear()
    assert leave_one_out(micrographs, small, out, lambda image, now: seen.append(image)) == folds
    assert seen == []


def test_the_table_ends_with_means_and_sums():
    folds = [
        Fold("a", 3, 0.5, 0.6, 0.7, 0.8, 0.9, 10, 12),
        Fold("bb", 12, 0.7, 0.8, 0.9, 1.0, 0.5, 20, 22),
    ]
    lines = format_folds(folds).splitlines()
    assert lines[0].split() == [
        *("image", "epoch", "precision", "recall", "accuracy", "f1", "object_f1", "found", "true")
    ]
    assert lines[-1].split() == [
        *("mean,", "sum", "0.600", "0.700", "0.800", "0.900", "0.700", "30", "34")
    ]
    assert len({line.rindex(line.split()[-1]) + len(line.split()[-1]) for line in lines}) == 1


def test_one_micrograph_is_too_few(annotated, small, tmp_path):
    one = read_collection(annotated / "0.tif", Reading(truth="_m"))
    with pytest.raises(InputError, match="at least 2"):
        leave_one_out(one, small, tmp_path / "out")
