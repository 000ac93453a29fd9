"""Tables in a temporary file."""

import gc
import weakref

import numpy as np
import pandas as pd

from nanorender.files.tablespool import TableSpool

FIRST = pd.DataFrame({"label": [1, 2], "area_px2": [8.5, np.nan], "touches_frame": [True, False]})
SECOND = pd.DataFrame({"label": np.array([], int), "diameter_nm": np.array([], float)})


def test_tables_are_read_as_they_were_stored_in_any_order():
    spool = TableSpool()
    stored = [spool.store(FIRST), spool.store(SECOND), spool.store(FIRST.iloc[1:])]
    for _ in range(2):
        pd.testing.assert_frame_equal(stored[0](), FIRST)
        pd.testing.assert_frame_equal(stored[2](), FIRST.iloc[1:].reset_index(drop=True))
        pd.testing.assert_frame_equal(stored[1](), SECOND)


def test_memory_holds_the_table_that_was_read_last():
    spool = TableSpool()
    read_first, read_second = spool.store(FIRST), spool.store(SECOND)
    table = weakref.ref(read_first())
    assert read_first() is table()
    read_second()
    gc.collect()
    assert table() is None


def test_the_file_is_closed_with_its_last_reader():
    spool = TableSpool()
    file, read = spool._file, spool.store(FIRST)
    del spool
    gc.collect()
    assert len(read()) == 2
    del read
    gc.collect()
    assert file.closed
