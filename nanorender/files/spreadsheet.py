"""Excel files, written row by row."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nanorender.errors import InputError
from nanorender.files.atomic import atomic_file

MOST_ROWS = 1_048_576
"""Rows of a sheet of Excel."""


def write_excel_sheet(rows: Iterable[Sequence[object]], out: Path) -> None:
    """Write an Excel file of one sheet whose first row, the names of the columns, stays in view.

    Memory holds one row at a time. The same rows give the same cells, but not the same bytes, since
    an Excel file contains the time at which it was made.

    Parameters
    ----------
    rows
        Names of the columns, then texts and numbers; None for an empty cell. Texts that begin with
        "=" are texts, not formulas.
    out
        The file, .xlsx.

    Raises
    ------
    InputError
        If there are more rows than a sheet holds, or the file cannot be written.

    Examples
    --------
    >>> from openpyxl import load_workbook
    >>> path = getfixture("tmp_path") / "sizes.xlsx"
    >>> write_excel_sheet([["image", "diameter_nm"], ["000123", 42.5]], path)
    >>> list(load_workbook(path).active.values)
    [('image', 'diameter_nm'), ('000123', 42.5)]
    """
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("particles")
    sheet.freeze_panes = "A2"
    try:
        for number, row in enumerate(rows, start=1):
            if number > MOST_ROWS:
                raise InputError(
                    f"{out} would have more than the {MOST_ROWS - 1} rows that a sheet of Excel "
                    "holds; write a .csv or .parquet file"
                )
            sheet.append([_cell(sheet, value, out) for value in row])
    except InputError:
        sheet.close()
        raise
    with atomic_file(out) as part:
        book.save(part)


def _cell(sheet: Any, value: Any, out: Path) -> Any:
    """Return a cell in which a text is a text, not a formula."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.utils.exceptions import IllegalCharacterError

    try:
        cell = WriteOnlyCell(sheet, value)
    except IllegalCharacterError:
        raise InputError(
            f"{out} cannot hold the name {value!r}, which has control characters; rename the "
            "image, or write a .csv or .parquet file"
        ) from None
    if isinstance(value, str):
        cell.data_type = "s"
    return cell
