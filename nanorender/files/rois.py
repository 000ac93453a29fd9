"""Files of drawn particles: ROI sets of ImageJ, labelme and COCO, found by the names of images."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nanorender.errors import InputError
from nanorender.files.coco import CocoDataset, CocoImage, coco_dataset, coco_particles
from nanorender.files.drawn import DrawnParticle
from nanorender.files.imagej import read_imagej_rois
from nanorender.files.labelme import labelme_particles
from nanorender.settings import read_text

DRAWING_SUFFIXES = (".zip", ".roi", ".json")
"""Extensions of the files."""

LARGEST_JSON_BYTES = 1 << 28
"""Largest size of a JSON file; those of labelme may contain the image."""


class Drawing(NamedTuple):
    """The particles that were drawn in one image.

    Attributes
    ----------
    particles
        In the order of the file.
    shape
        Height and width of the image that they were drawn in, None if the file does not say.
    """

    particles: list[DrawnParticle]
    shape: tuple[int, int] | None


class DrawingFile(NamedTuple):
    """Where the drawing of one image is.

    Attributes
    ----------
    path
        The file, named in errors.
    read
        Reads the drawing.
    shared
        Whether the file may hold the drawings of other images, too.
    """

    path: Path
    read: Callable[[], Drawing]
    shared: bool = False


def find_drawings(path: Path, images: Sequence[str]) -> dict[str, DrawingFile]:
    """Find the drawing of each image.

    Parameters
    ----------
    path
        A file, or a folder of files named as their images. A COCO file names its images itself.
        The name of a file does not matter if there is one image and one file.
    images
        Names of the images, without extension.

    Returns
    -------
    dict of str to DrawingFile
        By the name of the image; images without a drawing are left out.

    Raises
    ------
    InputError
        If a file is neither of ImageJ, labelme nor COCO, belongs to no image, or two belong to one.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give a file with outlines, or a folder of them")
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if _is_drawing_name(file))
    found: dict[str, DrawingFile] = {}
    for file in files:
        drawings = _drawings_in(file)
        if len(images) == len(drawings) == len(files) == 1:
            return {images[0]: next(iter(drawings.values()))}
        matching = [name for name in drawings if name in images]
        if drawings and not matching:
            raise InputError(
                f"{file} belongs to no image; name it as its image, such as {images[0]}"
                f"{file.suffix}, or give that image alone"
            )
        for name in matching:
            if name in found:
                raise InputError(
                    f"{found[name].path} and {file} both have outlines of {name}; remove one"
                )
            found[name] = drawings[name]
    if not found:
        raise InputError(
            f"{path} holds no outlines; give ROI sets of ImageJ (.zip, .roi), or JSON files of "
            "labelme or COCO"
        )
    return found


def _is_drawing_name(file: Path) -> bool:
    """Return whether a path is a visible regular file with the extension of a drawing."""
    suitable = file.suffix.lower() in DRAWING_SUFFIXES and not file.name.startswith(".")
    return suitable and file.is_file()


def _drawings_in(path: Path) -> dict[str, DrawingFile]:
    """Return the drawings in a file by the names of their images; none for other records."""
    match path.suffix.lower():
        case ".zip" | ".roi":
            return {path.stem: DrawingFile(path, partial(_read_rois, path))}
        case ".json":
            return _drawings_in_json(path)
        case suffix:
            raise InputError(
                f"{path} must be a ROI set of ImageJ (.zip, .roi), or a JSON file of labelme or "
                f"COCO, not {suffix or 'a file without extension'}"
            )


def _drawings_in_json(path: Path) -> dict[str, DrawingFile]:
    """Return the drawings in a JSON file by the names of their images."""
    try:
        content = json.loads(read_text(path, LARGEST_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a valid JSON file: {error}") from None
    keys = content.keys() if isinstance(content, dict) else ()
    if "shapes" in keys:
        return {path.stem: DrawingFile(path, partial(_read_labelme, content, path))}
    if "annotations" in keys and "images" in keys:
        dataset = coco_dataset(content, path)
        return {
            image.name: DrawingFile(path, partial(_read_coco, dataset, image), shared=True)
            for image in dataset.images
        }
    if "image_sha256" in keys:  # the record of a label map, beside which outlines may lie
        return {}
    raise InputError(f"{path} is a JSON file of neither labelme nor COCO; give one of them")


def _read_rois(path: Path) -> Drawing:
    return Drawing(read_imagej_rois(path), None)


def _read_labelme(content: object, path: Path) -> Drawing:
    return Drawing(*labelme_particles(content, path))


def _read_coco(dataset: CocoDataset, image: CocoImage) -> Drawing:
    return Drawing(coco_particles(dataset, image), (image.height, image.width))
