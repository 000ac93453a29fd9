"""Labelled images in the layouts of other programs: COCO, Cellpose, StarDist, nnU-Net."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Integer
from scipy import ndimage

from nanorender.errors import InputError
from nanorender.files.atomic import folder_aside, write_text
from nanorender.files.dataset import read_sample, whole_samples
from nanorender.files.micrograph import write_image, write_labels
from nanorender.files.segmentation import find_label_maps, read_record, read_segmented


class Labelled(NamedTuple):
    """An image with its labels.

    name: of its files, without ending
    image, labels: (h, w)
    pixel_size_nm: None if unknown
    """

    name: str
    image: Integer[np.ndarray, "h w"]
    labels: Integer[np.ndarray, "h w"]
    pixel_size_nm: float | None


def dataset_images(folder: Path) -> Iterator[Labelled]:
    """Yield the whole samples of a dataset; raises InputError if it is none."""
    for index in whole_samples(folder):
        yield Labelled(f"{index:06d}", *read_sample(folder, index))


def segmented_images(folder: Path) -> Iterator[Labelled]:
    """Yield the label maps that `nanorender segment` wrote, with their micrographs.

    Raises
    ------
    InputError
        If a map has no record of its micrograph, or either cannot be read.
    """
    for path in find_label_maps(folder):
        if read_record(path) is None:
            raise InputError(
                f"{path} does not say which micrograph it belongs to; only maps that 'nanorender "
                "segment' wrote can be exported"
            )
        labels, micrograph = read_segmented(path)
        yield Labelled(path.stem, micrograph.image, labels, micrograph.pixel_size_nm)


def export(layout: str, images: Iterable[Labelled], out: Path) -> int:
    """Write images in one of `LAYOUTS` into a new folder; return how many.

    The folder appears when all of it is written.

    Raises
    ------
    InputError
        If there is no such layout, the folder is not empty or cannot be written.
    """
    if layout not in LAYOUTS:
        raise InputError(f"there is no layout '{layout}'; there are {', '.join(LAYOUTS)}")
    try:
        if out.exists() and any(out.iterdir()):
            raise InputError(f"{out} is not empty; give a new folder")
    except NotADirectoryError:
        raise InputError(f"{out} is a file; give a new folder") from None
    with folder_aside(out) as part:
        return LAYOUTS[layout](images, part)


def _coco(images: Iterable[Labelled], out: Path) -> int:
    """annotations.json beside images/, masks run-length encoded (Lin et al., 2014, COCO API)."""
    folder = out / "images"
    folder.mkdir()
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, image, labels, pixel_size_nm) in enumerate(images, start=1):
        write_image(folder / f"{name}.tif", image, pixel_size_nm)
        height, width = labels.shape
        entry = {"id": number, "file_name": f"{name}.tif", "height": height, "width": width}
        entries.append({**entry, "pixel_size_nm": pixel_size_nm})
        for annotation in coco_annotations(labels):
            identity = {"id": len(annotations) + 1, "image_id": number, "category_id": 1}
            annotations.append({**identity, **annotation})
    content = {
        "images": entries,
        "categories": [{"id": 1, "name": "particle", "supercategory": "particle"}],
        "annotations": annotations,
    }
    write_text(out / "annotations.json", json.dumps(content))
    return len(entries)


def coco_annotations(labels: Integer[np.ndarray, "h w"]) -> list[dict[str, Any]]:
    """Return mask, area and bounding box of each label, in the order of the labels.

    A mask is {"size": [h, w], "counts": runs}: lengths of runs down the columns, of background
    first.

    Strategy: find the runs of all labels at once in the column-wise sequence of pixels, then deal
    them out to their labels.
    """
    height, width = labels.shape
    sequence = labels.T.ravel()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(sequence)) + 1))
    ends = np.append(starts[1:], sequence.size)
    order = np.argsort(sequence[starts], kind="stable")
    values = sequence[starts][order]
    boxes = ndimage.find_objects(labels)
    annotations = []
    for label in np.unique(values[values > 0]):
        first, last = np.searchsorted(values, [label, label + 1])
        runs = order[first:last]
        edges = np.stack([starts[runs], ends[runs]], axis=1).ravel()
        edges = edges[_not_joined(edges)]
        counts = np.diff(np.concatenate(([0], edges, [sequence.size])))
        rows, columns = boxes[label - 1]
        annotations.append(
            {
                "segmentation": {"size": [height, width], "counts": _whole_list(counts)},
                "area": int((ends[runs] - starts[runs]).sum()),
                "bbox": [
                    columns.start,
                    rows.start,
                    columns.stop - columns.start,
                    rows.stop - rows.start,
                ],
                "iscrowd": 0,
            }
        )
    return annotations


def _not_joined(edges: np.ndarray) -> Bool[np.ndarray, "n"]:
    """Mark the edges that do not close one run exactly where the next one opens."""
    joint = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    keep = np.ones(edges.size, dtype=bool)
    keep[2 * joint + 1] = keep[2 * joint + 2] = False
    return keep


def _whole_list(counts: np.ndarray) -> list[int]:
    """Return run lengths without a last run of nothing."""
    return counts[:-1].tolist() if counts[-1] == 0 else counts.tolist()


def _cellpose(images: Iterable[Labelled], out: Path) -> int:
    """Write name.tif and name_masks.tif side by side, as Cellpose's --train reads them."""
    return _write_pairs(images, out, "{}.tif", "{}_masks.tif")


def _stardist(images: Iterable[Labelled], out: Path) -> int:
    """Write images/ and masks/ with the same names, as StarDist's examples read them."""
    return _write_pairs(images, out, "images/{}.tif", "masks/{}.tif")


def _nnunet(images: Iterable[Labelled], out: Path) -> int:
    """Write nnU-Net v2's raw data: imagesTr/name_0000.tif, labelsTr/name.tif, dataset.json.

    nnU-Net knows classes, not particles: 1 is a particle's interior, 2 its outermost pixels, which
    part it from its neighbors.
    """
    classes = (image._replace(labels=interior_and_border(image.labels)) for image in images)
    number = _write_pairs(classes, out, "imagesTr/{}_0000.tif", "labelsTr/{}.tif")
    content = {
        "channel_names": {"0": "SEM"},
        "labels": {"background": 0, "interior": 1, "border": 2},
        "numTraining": number,
        "file_ending": ".tif",
    }
    write_text(out / "dataset.json", json.dumps(content, indent=2))
    return number


def _write_pairs(images: Iterable[Labelled], out: Path, image_name: str, label_name: str) -> int:
    """Write images and labels under names with a place for the name of each; return how many."""
    for name in (image_name, label_name):
        (out / name).parent.mkdir(exist_ok=True)
    written = 0
    for name, image, labels, pixel_size_nm in images:
        write_image(out / image_name.format(name), image, pixel_size_nm)
        write_labels(out / label_name.format(name), labels, pixel_size_nm)
        written += 1
    return written


def interior_and_border(labels: Integer[np.ndarray, "h w"]) -> Integer[np.ndarray, "h w"]:
    """Return (h, w) uint8: 0 background, 1 inside a particle, 2 pixels that touch another label."""
    lowest = ndimage.minimum_filter(labels, size=3, mode="nearest")
    highest = ndimage.maximum_filter(labels, size=3, mode="nearest")
    classes = np.where(lowest == highest, 1, 2)
    return np.where(labels > 0, classes, 0).astype(np.uint8)


LAYOUTS: dict[str, Callable[[Iterable[Labelled], Path], int]] = {
    "coco": _coco,
    "cellpose": _cellpose,
    "stardist": _stardist,
    "nnunet": _nnunet,
}
