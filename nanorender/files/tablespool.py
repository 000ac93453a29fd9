"""Tables of large studies in a temporary file, so that memory holds one at a time."""

import tempfile
import weakref
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd


class TableSpool:
    """Tables in a temporary file, which is deleted with this object or the process.

    Examples
    --------
    >>> spool = TableSpool()
    >>> first = spool.store(pd.DataFrame({"label": [1, 2], "area_px2": [8.0, 9.0]}))
    >>> second = spool.store(pd.DataFrame({"label": [1], "area_px2": [7.0]}))
    >>> first()["area_px2"].tolist(), second()["area_px2"].tolist()
    ([8.0, 9.0], [7.0])
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._latest: tuple[int, pd.DataFrame] | None = None

    def store(self, table: pd.DataFrame) -> Callable[[], pd.DataFrame]:
        """Append a table to the file.

        Parameters
        ----------
        table : with columns of numbers and truth values; its index is not stored

        Returns
        -------
        function that reads it again, and keeps it in memory until another is read
        """
        position = self._file.seek(0, 2)
        np.save(self._file, table.to_records(index=False), allow_pickle=False)
        return partial(self._read, position)

    def _read(self, position: int) -> pd.DataFrame:
        """Read the table that begins at a position, unless it is the one in memory."""
        if self._latest is None or self._latest[0] != position:
            self._file.seek(position)
            self._latest = position, pd.DataFrame(np.load(self._file, allow_pickle=False))
        return self._latest[1]
