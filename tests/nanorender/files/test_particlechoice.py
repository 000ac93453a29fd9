import json

import numpy as np
import pandas as pd
import pytest

import cli
from nanorender.errors import InputError
from nanorender.files.particlechoice import FORMAT
from nanorender.files.segmentation import hash_labels
from nanorender.files.tiff import write_labels


def squares(count):
    """A label map of squares with edges of 5, 6, 7... pixels."""
    labels = np.zeros((20, 20 * count), np.int32)
    for index in range(count):
        edge = 5 + index
        labels[4 : 4 + edge, 20 * index + 4 : 20 * index + 4 + edge] = index + 1
    return labels


@pytest.fixture
def maps(tmp_path):
    """A folder of two label maps, of 3 and 5 particles, with a pixel size of 2 nm."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for name, count in (("a", 3), ("b", 5)):
        write_labels(folder / f"{name}.tif", squares(count), 2.0)
    return folder


def written(path, **struck_out):
    """Write a choice with particles of label maps from `squares`."""
    counts = {"a": 3, "b": 5}
    images = [
        {
            "image": name,
            "labels_sha256": hash_labels(squares(counts.get(name, 3))),
            "struck_out": labels,
        }
        for name, labels in struck_out.items()
    ]
    path.write_text(json.dumps({"format": FORMAT, "images": images}))
    return path


def test_struck_out_particles_stay_in_the_table_and_are_marked(maps, tmp_path):
    choice = written(tmp_path / "choice.json", b=[2, 5])
    table_path = tmp_path / "p.csv"
    cli.measure(maps, table_path, 1, choice=choice)
    table = pd.read_csv(table_path)
    assert len(table) == 8
    struck = table.loc[table["struck_out"], ["image", "label"]]
    assert struck.values.tolist() == [["b", 2], ["b", 5]]
    cli.measure(maps, table_path, 1)  # parts of the other table are not reused
    assert "struck_out" not in pd.read_csv(table_path)


def test_a_report_leaves_struck_out_particles_out_of_the_sizes_and_says_so(maps, tmp_path):
    choice = written(tmp_path / "choice.json", a=[1], b=[2, 5])
    cli.report(maps, tmp_path / "report", choice=choice)
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    edges = np.array([6, 7, 5, 7, 8])  # those that are kept
    assert summary["summary"]["particles"] == 5
    assert summary["summary"]["struck_out"] == 3
    area = np.array([20 * 60, 20 * 100]).sum() * 4
    assert summary["summary"]["number_density"]["value"] == pytest.approx(5 / area)
    assert summary["summary"]["coverage"]["value"] == pytest.approx((edges**2).sum() * 4 / area)
    mean = (np.sqrt(4 / np.pi) * edges * 2.0).mean()
    assert summary["summary"]["sizes"]["mean"]["value"] == pytest.approx(mean)
    assert [each["struck_out"] for each in summary["images"]] == [[1], [2, 5]]
    table = pd.read_csv(tmp_path / "report" / "particles.csv")
    assert (len(table), table["struck_out"].sum()) == (8, 3)
    assert "3 struck out by hand" in (tmp_path / "report" / "index.html").read_text()


def test_an_empty_choice_strikes_out_nothing(maps, tmp_path):
    choice = written(tmp_path / "choice.json")
    cli.measure(maps, tmp_path / "p.csv", 1, choice=choice)
    assert not pd.read_csv(tmp_path / "p.csv")["struck_out"].any()


def refused(maps, choice, tmp_path):
    """Measure with a choice that is refused; return the line."""
    with pytest.raises(InputError) as error:
        cli.measure(maps, tmp_path / "p.csv", 1, choice=choice)
    assert not (tmp_path / "p.csv").exists()
    assert not (tmp_path / "p.csv.parts").exists()
    return str(error.value)


def test_a_choice_for_other_label_maps_is_refused_before_anything_is_written(maps, tmp_path):
    choice = written(tmp_path / "choice.json", a=[1])
    changed = squares(3)
    changed[0, 0] = 3
    write_labels(maps / "a.tif", changed, 2.0)
    line = refused(maps, choice, tmp_path)
    assert "the choice was made for another label map of 'a'" in line
    with pytest.raises(InputError, match="another label map of 'a'"):
        cli.report(maps, tmp_path / "report", choice=choice)
    assert not (tmp_path / "report").exists()


def test_images_without_a_label_map_and_missing_labels_are_refused(maps, tmp_path):
    other = written(tmp_path / "other.json", c=[1])
    assert "'c', of which there is no label map" in refused(maps, other, tmp_path)
    missing = written(tmp_path / "missing.json", a=[4])
    assert "strikes out particle 4 of 'a', which" in refused(maps, missing, tmp_path)


def of_one_image(labels, labels_sha256="0" * 64):
    """The text of a choice with these labels."""
    image = {"image": "a", "labels_sha256": labels_sha256, "struck_out": labels}
    return json.dumps({"format": FORMAT, "images": [image]})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "Invalid JSON"),
        ("[" * 5000, ""),
        ('{"format": "nanorender-choice-1", "candidates": 3}', "unknown key 'candidates'"),
        ("{}", "'format' is missing"),
        ('{"format": "nanorender-particles-1"}', "'images' is missing"),
        ('{"format": "nanorender-particles-2", "images": []}', "nanorender-particles-2"),
        (
            of_one_image([], labels_sha256="x"),
            "labels_sha256",
        ),
        (
            of_one_image([], labels_sha256=None),
            "images.0.labels_sha256",
        ),
        (
            of_one_image([1, 1]),
            "listed twice",
        ),
        (
            of_one_image([0]),
            "greater than 0",
        ),
    ],
)
def test_other_files_are_refused_in_one_line(maps, tmp_path, content, problem):
    path = tmp_path / "choice.json"
    path.write_text(content)
    line = refused(maps, path, tmp_path)
    assert "is no choice of particles exported from a report" in line
    assert problem in line


def test_masks_can_be_chosen_from(tmp_path):
    (tmp_path / "masks").mkdir()
    mask = (squares(3) > 0).astype(np.int32)
    write_labels(tmp_path / "masks" / "a.tif", mask, 2.0)
    choice = written(tmp_path / "choice.json", a=[3])  # regions are numbered from the left
    table = tmp_path / "p.csv"
    cli.measure(tmp_path / "masks", table, 1, binary=True, choice=choice)
    assert pd.read_csv(table)["struck_out"].tolist() == [False, False, True]
