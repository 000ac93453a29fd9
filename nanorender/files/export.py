"""Export of labeled images in the formats of COCO, Cellpose, StarDist and nnU-Net."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8
from scipy import ndimage

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_folder, write_text
from nanorender.files.labeled import LabeledImage
from nanorender.files.tiff import write_image, write_labels


def export(layout: str, images: Iterable[LabeledImage], out: Path) -> int:
    """Write labeled images in the layout that another program reads.

    Parameters
    ----------
    layout
        Key of `LAYOUTS`.
    images
        The images; files are named after theirs.
    out
        A new or empty folder, which appears when all files are written.

    Returns
    -------
    int
        Number of images.

    Raises
    ------
    InputError
        If there is no such layout, or the folder is not empty or cannot be written.

    Examples
    --------
    >>> image = np.zeros((4, 6), np.uint8)
    >>> labels = np.array([[0, 0, 1, 1, 0, 0]] * 4, np.int32)
    >>> out = getfixture("tmp_path") / "cellpose"
    >>> export("cellpose", [LabeledImage(image, labels, 2.5, Path("grid.tif"))], out)
    1
    >>> sorted(path.name for path in out.iterdir())
    ['grid.tif', 'grid_masks.tif']
    """
    if layout not in LAYOUTS:
        raise InputError(f"unknown layout '{layout}'; choose one of {', '.join(LAYOUTS)}")
    try:
        if out.exists() and any(out.iterdir()):
            raise InputError(f"{out} is not empty; give a new folder")
    except NotADirectoryError:
        raise InputError(f"{out} is a file; give a new folder") from None
    with atomic_folder(out) as part:
        return LAYOUTS[layout](images, part)


def _coco(images: Iterable[LabeledImage], out: Path) -> int:
    """Write images/ and annotations.json with run-length encoded masks (Lin et al., 2014)."""
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (out / "images").mkdir()
    for number, (image, labels, pixel_size_nm, path) in enumerate(images, start=1):
        name = f"{path.stem}.tif"
        write_image(out / "images" / name, image, pixel_size_nm)
        height, width = labels.shape
        entry = {"id": number, "file_name": name, "height": height, "width": width}
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
    """Build the COCO annotations of a label map.

    Parameters
    ----------
    labels
        (h, w) label map.

    Returns
    -------
    list of dict
        Per label, in ascending order: mask, area, bounding box. A mask is ``{"size": [h, w],
        "counts": runs}`` with the lengths of runs in column-major order, background first.

    Examples
    --------
    >>> (annotation,) = coco_annotations(np.array([[0, 1, 1], [0, 1, 0]]))
    >>> annotation["segmentation"]
    {'size': [2, 3], 'counts': [2, 3, 1]}
    >>> annotation["area"], annotation["bbox"]
    (3, [1, 0, 2, 2])
    """
    # Find the runs of all labels at once in column-major order.
    height, width = labels.shape
    sequence = labels.T.ravel()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(sequence)) + 1))
    ends = np.append(starts[1:], sequence.size)

    # Distribute the runs to their labels.
    order = np.argsort(sequence[starts], kind="stable")
    values = sequence[starts][order]
    boxes = ndimage.find_objects(labels)
    annotations = []
    for label in np.unique(values[values > 0]):
        first, last = np.searchsorted(values, [label, label + 1])
        runs = order[first:last]
        edges = np.stack([starts[runs], ends[runs]], axis=1).ravel()
        counts = np.diff(np.concatenate(([0], edges, [sequence.size])))
        counts = counts[:-1] if counts[-1] == 0 else counts
        rows, columns = boxes[label - 1]
        box = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
        annotations.append(
            {
                "segmentation": {"size": [height, width], "counts": counts.tolist()},
                "area": int((ends[runs] - starts[runs]).sum()),
                "bbox": box,
                "iscrowd": 0,
            }
        )
    return annotations


def _cellpose(images: Iterable[LabeledImage], out: Path) -> int:
    """Write name.tif and name_masks.tif, as Cellpose's --train reads them."""
    return _write_pairs(images, out, "{}.tif", "{}_masks.tif")


def _stardist(images: Iterable[LabeledImage], out: Path) -> int:
    """Write images/name.tif and masks/name.tif, as StarDist's examples read them."""
    return _write_pairs(images, out, "images/{}.tif", "masks/{}.tif")


def _nnunet(images: Iterable[LabeledImage], out: Path) -> int:
    """Write imagesTr/name_0000.tif, labelsTr/name.tif and dataset.json, nnU-Net v2's raw data.

    nnU-Net segments classes, not instances: a border class separates touching particles.
    """
    classes = (image._replace(labels=interior_and_border(image.labels)) for image in images)
    count = _write_pairs(classes, out, "imagesTr/{}_0000.tif", "labelsTr/{}.tif")
    content = {
        "channel_names": {"0": "SEM"},
        "labels": {"background": 0, "interior": 1, "border": 2},
        "numTraining": count,
        "file_ending": ".tif",
    }
    write_text(out / "dataset.json", json.dumps(content, indent=2))
    return count


def _write_pairs(
    images: Iterable[LabeledImage], out: Path, image_name: str, label_name: str
) -> int:
    """Write images and labels under names formatted with that of each image; return the count."""
    for name in (image_name, label_name):
        (out / name).parent.mkdir(exist_ok=True)
    written = 0
    for image, labels, pixel_size_nm, path in images:
        write_image(out / image_name.format(path.stem), image, pixel_size_nm)
        write_labels(out / label_name.format(path.stem), labels, pixel_size_nm)
        written += 1
    return written


def interior_and_border(labels: Integer[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Classify the pixels of a label map.

    Parameters
    ----------
    labels
        (h, w) label map.

    Returns
    -------
    array
        (h, w): 0 background, 1 interior of a particle, 2 border, with another label among the 8
        neighbors.
    """
    lowest = ndimage.minimum_filter(labels, size=3, mode="nearest")
    highest = ndimage.maximum_filter(labels, size=3, mode="nearest")
    classes = np.where(lowest == highest, 1, 2)
    return np.where(labels > 0, classes, 0).astype(np.uint8)


LAYOUTS: dict[str, Callable[[Iterable[LabeledImage], Path], int]] = {
    "coco": _coco,
    "cellpose": _cellpose,
    "stardist": _stardist,
    "nnunet": _nnunet,
}
