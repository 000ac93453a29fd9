import numpy as np
import pandas as pd
import pytest

from nanorender.errors import InputError
from nanorender.files.segmentation import read_mask
from nanorender.files.spreadsheet import write_excel_sheet
from nanorender.files.tiff import write_labels
from nanorender.measuring import table as module
from nanorender.measuring.table import tabulate
from nanorender.scoring.results import particle_table, read_results


@pytest.fixture
def maps(tmp_path):
    """A folder of four label maps from elsewhere, the last one empty."""
    (tmp_path / "maps").mkdir()
    for number in range(4):
        labels = np.zeros((40, 50), np.int32)
        if number < 3:
            labels[5 : 15 + number, 5:15], labels[20:26, 30:40] = 1, 2
        write_labels(tmp_path / "maps" / f"{number}.tif", labels, 2.0)
    return tmp_path / "maps"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_table_is_that_of_all_results_together(maps, tmp_path, workers):
    told = []
    done = tabulate(maps, tmp_path / "a.csv", workers, on_progress=lambda *now: told.append(now))
    assert done == (4, ())
    assert told == [(number, 4) for number in range(5)]
    expected = particle_table(read_results(maps))
    found = pd.read_csv(tmp_path / "a.csv")
    expected["image"] = found["image"].astype(object)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-12)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "maps"]


def test_a_parquet_file_holds_what_the_csv_file_holds(maps, tmp_path):
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    tabulate(maps, tmp_path / "a.csv", 1)
    tabulate(maps, tmp_path / "a.parquet", 1)
    written = pd.read_parquet(tmp_path / "a.parquet")
    read = pd.read_csv(tmp_path / "a.csv", dtype={"image": str})
    pd.testing.assert_frame_equal(written, read, check_dtype=False)
    assert written["touches_frame"].dtype == bool


def test_unmeasurable_maps_are_reported_and_do_not_affect_others(maps, tmp_path):
    (maps / "1.tif").write_bytes(b"torn")
    (maps / "2.json").write_text("{}")
    done = tabulate(maps, tmp_path / "a.csv", 1)
    assert [line.split("/")[-1].split(" ")[0] for line in done.failures] == ["1.tif", "2.json"]
    assert set(pd.read_csv(tmp_path / "a.csv")["image"]) == {0}


def test_measurement_resumes_and_repeats_changed_maps(maps, tmp_path, monkeypatch):
    (maps / "3.tif").write_bytes(b"torn")
    tabulate(maps, tmp_path / "a.csv", 1)
    write_labels(maps / "3.tif", np.ones((40, 50), np.int32), 2.0)
    write_labels(maps / "0.tif", np.ones((40, 50), np.int32), 2.0)
    measured = []
    measure_file = module.measure_file
    monkeypatch.setattr(
        module,
        "measure_file",
        lambda path, read: measured.append(path.name) or measure_file(path, read),
    )
    assert tabulate(maps, tmp_path / "a.csv", 1) == (4, ())
    assert measured == ["0.tif", "3.tif"]
    assert pd.read_csv(tmp_path / "a.csv")["image"].tolist() == [0, 1, 1, 2, 2, 3]


def test_rows_of_other_columns_are_measured_again(maps, tmp_path, monkeypatch):
    (maps / "3.tif").write_bytes(b"torn")
    tabulate(maps, tmp_path / "a.csv", 1)
    write_labels(maps / "3.tif", np.ones((40, 50), np.int32), 2.0)
    measure_file, columns = module.measure_file, module.column_descriptions(1.0)
    monkeypatch.setattr(module, "column_descriptions", lambda _: {**columns, "extent": "Extent"})
    monkeypatch.setattr(
        module, "measure_file", lambda path, read: measure_file(path, read).assign(extent=1.0)
    )
    assert tabulate(maps, tmp_path / "a.csv", 1) == (4, ())
    assert len(pd.read_csv(tmp_path / "a.csv")["extent"]) == 7


def test_masks_are_measured_by_their_regions(tmp_path):
    (tmp_path / "masks").mkdir()
    mask = np.zeros((40, 50), np.int32)
    mask[5:15, 5:15] = mask[20:26, 30:40] = 255
    write_labels(tmp_path / "masks" / "a.tif", mask, 2.0)
    done = tabulate(tmp_path / "masks", tmp_path / "a.csv", 1)
    assert "--binary" in done.failures[0]
    assert tabulate(tmp_path / "masks", tmp_path / "a.csv", 1, read=read_mask) == (1, ())
    assert pd.read_csv(tmp_path / "a.csv")["area_nm2"].tolist() == [400, 240]


def test_images_with_and_without_a_pixel_size_are_not_mixed(maps, tmp_path):
    write_labels(maps / "2.tif", np.ones((40, 50), np.int32), None)
    with pytest.raises(InputError, match="1 of 4 images have no pixel size"):
        tabulate(maps, tmp_path / "a.csv", 1)
    assert not (tmp_path / "a.csv").exists()


def test_a_name_of_digits_stays_a_name_in_parquet(tmp_path):
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    (tmp_path / "labels").mkdir()
    write_labels(tmp_path / "labels" / "000123.tif", np.ones((9, 9), np.int32), 2.0)
    tabulate(tmp_path / "labels", tmp_path / "a.parquet", 1)
    assert pd.read_parquet(tmp_path / "a.parquet")["image"].tolist() == ["000123"]


@pytest.mark.parametrize("name", ["a.xls", "a.txt", "a"])
def test_tables_of_other_extensions_are_refused(maps, tmp_path, name):
    with pytest.raises(InputError, match=r"must end in \.csv, \.parquet or \.xlsx"):
        tabulate(maps, tmp_path / name, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["maps"]


def test_parquet_without_pyarrow_is_refused_with_the_remedy(maps, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nanorender\[parquet\]"):
        tabulate(maps, tmp_path / "a.parquet", 1)


def test_an_excel_file_holds_what_the_csv_file_holds(maps, tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="the extra 'excel' is not installed")
    tabulate(maps, tmp_path / "a.csv", 1)
    tabulate(maps, tmp_path / "a.xlsx", 1)
    (sheet,) = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets
    names, *rows = sheet.values
    expected = pd.read_csv(tmp_path / "a.csv", dtype={"image": str})
    written = pd.DataFrame(rows, columns=names).astype(expected.dtypes)
    pd.testing.assert_frame_equal(written, expected)
    assert sheet.freeze_panes == "A2"
    assert sorted(path.name for path in tmp_path.iterdir() if path != maps) == ["a.csv", "a.xlsx"]


def test_names_of_images_stay_texts_in_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="the extra 'excel' is not installed")
    rows = [["image", "diameter_nm"], ["000123", 1.5], ["=1+1", None]]
    write_excel_sheet(rows, tmp_path / "a.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    assert [list(row) for row in sheet.values] == rows
    assert {cell.data_type for cell in sheet["A"]} == {"s"}


def test_too_many_particles_for_excel_are_refused_and_nothing_is_left(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl", reason="the extra 'excel' is not installed")
    monkeypatch.setattr("nanorender.files.spreadsheet.MOST_ROWS", 3)
    write_excel_sheet([["a"], [1], [2]], tmp_path / "full.xlsx")
    with pytest.raises(InputError, match=r"more than the 2 rows .* write a \.csv"):
        write_excel_sheet([["a"], [1], [2], [3]], tmp_path / "a.xlsx")
    with pytest.raises(InputError, match="control characters"):
        write_excel_sheet([["a"], ["bell \x07"]], tmp_path / "b.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["full.xlsx"]


def test_excel_without_openpyxl_is_refused_with_the_remedy(maps, tmp_path, monkeypatch):
    monkeypatch.setattr("nanorender.measuring.table.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nanorender\[excel\]"):
        tabulate(maps, tmp_path / "a.xlsx", 1)
