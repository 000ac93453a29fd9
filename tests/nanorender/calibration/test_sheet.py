import cv2
import pytest
from pictures import noisy_discs

from nanorender.calibration.likeness import Terms, features
from nanorender.calibration.sheet import write_sheet
from nanorender.errors import InputError


def test_a_sheet_has_a_row_for_each_set_and_one_of_plots(tmp_path):
    real, synthetic = noisy_discs(2, 3.0, 0), noisy_discs(2, 4.0, 5)
    of = {"real": features(real, 90.0), "synthetic": features(synthetic, 90.0)}
    terms = {"before": Terms(*[0.4] * 7), "after": Terms(*[0.1] * 7)}
    write_sheet({"real": real, "synthetic": synthetic}, of, terms, tmp_path / "both.png")
    write_sheet({"synthetic": synthetic}, of, terms, tmp_path / "one.png")
    both, one = (cv2.imread(str(tmp_path / name)) for name in ("both.png", "one.png"))
    assert both.shape[1] == one.shape[1]
    assert both.shape[0] / one.shape[0] == pytest.approx(1.5, rel=0.01)


def test_a_sheet_that_is_no_png_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.png"):
        write_sheet({}, {}, {}, tmp_path / "sheet.jpg")
