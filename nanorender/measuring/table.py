"""Particle table of a folder of label maps, written image by image."""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from nanorender import __version__
from nanorender.errors import InputError, UnwritableError
from nanorender.execution.workers import run_tasks
from nanorender.files.atomic import atomic_file, write_text
from nanorender.files.checksums import file_sha256
from nanorender.files.particlechoice import ParticleChoice, check_choice
from nanorender.files.segmentation import Segmented, find_label_maps, read_segmented
from nanorender.files.spreadsheet import write_excel_sheet
from nanorender.measuring.measure import column_descriptions, mark_struck_out, measure

FORMATS = ".csv, .parquet or .xlsx"
"""Extensions of the tables that `tabulate` writes."""


class MeasurementOutcome(NamedTuple):
    """Outcome of the measurement of a folder.

    Attributes
    ----------
    maps : number of label maps
    failures : one line for each label map that could not be measured and is not in the table
    """

    maps: int
    failures: tuple[str, ...]


class ExtraColumns(NamedTuple):
    """Columns that are added to a particle table on request.

    Attributes
    ----------
    choice : particles struck out by hand, which the column "struck_out" marks
    pixel_size_uncertainty_percent : relative standard uncertainty of the lengths
    """

    choice: ParticleChoice | None = None
    pixel_size_uncertainty_percent: float | None = None

    def add_to(self, table: pd.DataFrame, image: str) -> pd.DataFrame:
        """Add the columns to the rows of an image.

        Parameters
        ----------
        table : rows of the image
        image : its name

        Returns
        -------
        table with the columns

        Raises
        ------
        InputError
            If the pixel size is unknown but its uncertainty is given.
        """
        if self.choice is not None:
            struck = [each.struck_out for each in self.choice.images if each.image == image]
            table = mark_struck_out(table, frozenset(*struck))
        if self.pixel_size_uncertainty_percent is not None:
            if "area_px2" in table:
                raise InputError(
                    f"{image} has no pixel size, but its uncertainty is given; leave it out, or "
                    "segment again with --pixel-size-nm"
                )
            table = table.assign(pixel_size_uncertainty_percent=self.pixel_size_uncertainty_percent)
        return table


def tabulate(
    labels: Path,
    out: Path,
    workers: int,
    scheduler: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    read: Callable[[Path], Segmented] = read_segmented,
    choice: ParticleChoice | None = None,
    pixel_size_uncertainty_percent: float | None = None,
) -> MeasurementOutcome:
    """Measure all label maps of a folder and write one table.

    The rows of each image are kept beside `out` until all are complete, so that an interrupted or
    partly failed measurement resumes, and memory holds one image at a time. Only a Parquet file
    requires the whole table in memory. An Excel sheet holds at most 1,048,575 particles.

    Parameters
    ----------
    labels : folder of label maps
    out : file of the table, .csv, .parquet or .xlsx
    workers : number of processes
    scheduler : address of a Dask scheduler; None for processes on this machine
    on_progress : called with the number of maps measured so far and their total
    read : reads a file, `read_segmented` or `read_mask`
    choice : particles struck out by hand, which the column "struck_out" marks; None for no column
    pixel_size_uncertainty_percent : relative standard uncertainty of the lengths, for a column of
        that name; None for no column

    Returns
    -------
    outcome : number of label maps, and those that failed

    Raises
    ------
    InputError
        If the folder holds no label maps, none can be measured, the choice was made for other label
        maps, or the table has another extension, does not fit an Excel sheet or cannot be written.
    """
    paths = find_label_maps(labels)
    check_table_name(out)
    if choice is not None:
        check_choice(choice, labels, read)
    extra = ExtraColumns(choice, pixel_size_uncertainty_percent)
    parts = out.with_name(f"{out.name}.parts").resolve()
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}") from None
    rows: dict[Path, Path] = {}
    failures: dict[Path, str] = {}
    on_progress(0, len(paths))
    for path, (part, failure) in run_tasks(
        partial(measure_into, parts, read, extra), paths, workers, scheduler
    ):
        if part is None:
            failures[path] = failure
        else:
            rows[path] = part
        on_progress(len(rows) + len(failures), len(paths))
    _join({path: rows[path] for path in paths if path in rows}, out)
    if not failures or not rows:
        shutil.rmtree(parts, ignore_errors=True)
    failed = tuple(failures[path] for path in paths if path in failures)
    return MeasurementOutcome(len(paths), failed)


def check_table_name(out: Path) -> None:
    """Refuse files that `tabulate` cannot write.

    Parameters
    ----------
    out : file of the table

    Raises
    ------
    InputError
        If it is a folder, has another extension, or needs a package that is not installed.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder; give the name of a {FORMATS} file")
    match out.suffix.lower():
        case ".csv":
            return
        case ".parquet":
            package, extra = "pyarrow", "parquet"
        case ".xlsx":
            package, extra = "openpyxl", "excel"
        case _:
            raise InputError(f"{out} must end in {FORMATS}")
    if find_spec(package) is None:
        raise InputError(
            f"{out} needs {package}: pip install 'nanorender[{extra}]', or write a .csv file"
        )


def measure_file(path: Path, read: Callable[[Path], Segmented] = read_segmented) -> pd.DataFrame:
    """Measure the particles of one label map.

    Parameters
    ----------
    path : file of the label map
    read : reads it

    Returns
    -------
    table : one row per particle as `measure` returns it, the name of the image first

    Raises
    ------
    InputError
        If a file cannot be read, has changed, or the two differ in size.
    """
    labels, micrograph, confidence, *_ = read(path)
    table = measure(labels, micrograph.pixel_size_nm, micrograph.image, confidence=confidence)
    table.insert(0, "image", path.stem)
    return table


def measure_into(
    parts: Path, read: Callable[[Path], Segmented], extra: ExtraColumns, path: Path
) -> tuple[Path | None, str]:
    """Measure one label map into a file named by a hash of its content.

    Parameters
    ----------
    parts : folder of the rows of each image
    read : reads a label map
    extra : columns to add
    path : file of the label map

    Returns
    -------
    part : CSV file of the rows; None if the label map could not be measured
    failure : reason, empty if there is none
    """
    try:
        part = parts / f"{_content(path, read.__name__, extra)}.csv"
        if not part.is_file():
            table = extra.add_to(measure_file(path, read), path.stem)
            write_text(part, table.to_csv(index=False, lineterminator="\n"))
    except UnwritableError:
        raise
    except InputError as error:
        return None, str(error)
    return part, ""


def _content(path: Path, reader: str, extra: ExtraColumns) -> str:
    """Return a hash of a label map, its record, its reader, the columns and the version."""
    made_by = f"{__version__} {path.stem} {reader} {','.join(column_descriptions(1.0))}"
    made_by += "" if extra == ExtraColumns() else f" {extra!r}"
    digest = hashlib.sha256(made_by.encode(errors="surrogateescape"))
    for file in (path, path.with_suffix(".json")):
        try:
            digest.update(bytes.fromhex(file_sha256(file)))
        except FileNotFoundError:
            digest.update(b"-")
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()


def _join(tables: Mapping[Path, Path], out: Path) -> None:
    """Concatenate the tables of the label maps."""
    if not tables:
        return
    headers = {path: _header(table) for path, table in tables.items()}
    _refuse_mixed_units(headers)
    match out.suffix.lower():
        case ".parquet":
            _join_parquet(tables.values(), out)
        case ".xlsx":
            write_excel_sheet(_records(tables.values()), out)
        case _:
            with atomic_file(out) as whole, whole.open("w", encoding="utf-8", newline="\n") as file:
                file.write(next(iter(headers.values())))
                for table in tables.values():
                    file.write(table.read_text(encoding="utf-8").partition("\n")[2])


def _join_parquet(tables: Iterable[Path], out: Path) -> None:
    """Concatenate tables in a Parquet file."""
    # Keep names of images such as 000123 from being read as numbers.
    read = [pd.read_csv(table, dtype={"image": str}) for table in tables]
    filled = [table for table in read if len(table)]
    with atomic_file(out) as whole:
        joined = pd.concat(filled, ignore_index=True) if filled else read[0]
        joined.to_parquet(whole, engine="pyarrow", index=False)


def _records(tables: Iterable[Path]) -> Iterator[Sequence[object]]:
    """Yield the names of the columns, and the row of each particle."""
    for number, path in enumerate(tables):
        table = pd.read_csv(path, dtype={"image": str})
        if number == 0:
            yield list(table.columns)
        yield from table.astype(object).where(table.notna(), None).itertuples(index=False)


def _header(table: Path) -> str:
    """Read the names of the columns of a table."""
    with table.open(encoding="utf-8") as file:
        return file.readline()


def _refuse_mixed_units(headers: Mapping[Path, str]) -> None:
    """Raise InputError if some tables are in nm and others in pixels."""
    names = [path.stem for path, header in headers.items() if "area_px2" in header]
    if 0 < len(names) < len(headers):
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise InputError(
            f"{len(names)} of {len(headers)} images have no pixel size ({shown}); segment again "
            "with the pixel size of each image in a table (--pixel-size-nm sizes.csv), or all of "
            "them in pixels (--pixels)"
        )
