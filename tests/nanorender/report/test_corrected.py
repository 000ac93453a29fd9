import html
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import Markup

from nanorender.correction.correction import Budget, Correction
from nanorender.correction.correction_table import (
    caution,
    correction_frame,
    format_corrections,
    sentences,
)
from nanorender.correction.detection import DetectionClass
from nanorender.correction.study import SHARE, CorrectedStudy
from nanorender.errors import InputError
from nanorender.measuring.measure import measure
from nanorender.report.corrected import CorrectedSection, corrected_section, detection_curve
from nanorender.report.page import Provenance, render_page
from nanorender.report.picture import picture
from nanorender.report.recall import recall_sentences
from nanorender.scoring.limit import LimitDetection
from nanorender.scoring.results import image_result
from nanorender.statistics.bootstrap import Estimate
from nanorender.statistics.groups import Group
from nanorender.statistics.sampling import FieldOfView
from nanorender.statistics.summary import Statistics, summarize

BUDGET = Budget(0.03, 0.02, 0.015, 0.01, 12.0)
STUDY = CorrectedStudy(
    unit="nm",
    quantity="equivalent_diameter",
    least=16.0,
    corrections={
        "d50": Correction(208.5, Estimate(185.4, 168.2, 204.3), BUDGET),
        "number_density": Correction(2.1, Estimate(2.4, 1.5, 3.9), BUDGET),
        SHARE: Correction(0.1, Estimate(0.18, 0.12, 0.26), BUDGET),
    },
    detection=[
        DetectionClass(40.0, 60.4, 80.0, 100, 0.71, 0.62, 0.79, 0.04, 0.1),
        DetectionClass(80.0, 200.0, 400.0, 100, 0.98, 0.93, 0.99, 0.001, 0.02),
    ],
    found_share=0.85,
    false_share=0.036,
    merged_share=0.156,
    hidden_share=0.57,
    nanoscale=LimitDetection(40, 160, 30, 158, 33, 3),
    relative_loss=0.8,
    refusal=None,
    twins=32,
    base="tio2",
)
REFUSED = replace(STUDY, corrections={}, refusal="the twins differ too much", relative_loss=4.0)


def result_of(struck_out=frozenset()):
    labels = np.zeros((60, 60), np.int32)
    labels[10:30, 10:30] = 1
    image = np.zeros(labels.shape, np.uint8)
    table = measure(labels, 2.0, image)
    return image_result("a", image, labels, 2.0, "header", table, struck_out=struck_out)


def page_of(study):
    result = result_of()
    field = FieldOfView("a", 60, 60, 2.0)
    summary = summarize(result.table, [field], Statistics(resamples=20), np.random.default_rng(0))
    names = ("size_histogram", "cumulative_curve", "detection_curve")
    plots = dict.fromkeys(names, Markup("<svg></svg>"))
    section = study and CorrectedSection(study, sentences(study), caution(study), [])
    pictures = {0: picture(*result.read_pixels())}
    groups = [Group("all", "all images", summary)]
    provenance = Provenance("Squares", "", {})
    return html.unescape(render_page([result], groups, provenance, plots, pictures, section))


def test_raw_and_corrected_sizes_stand_side_by_side_with_their_budget():
    page = page_of(STUDY)
    row = page[page.index('<th scope="row">median, D50</th>') :].partition("</tr>")[0]
    for text in ("208.5", "185.4", "168.2 to 204.3", "3.0 %", "2.0 %", "1.5 %", "1.0 %", "4.0 %"):
        assert text in row
    assert "Corrected median" in page
    assert "Of particles of about 60.4 nm, 71% are found" in page


def test_a_report_without_twins_has_no_such_section():
    page = page_of(None)
    assert "Corrected sizes" not in page
    assert "Corrected median" not in page


def test_a_refusal_stands_in_place_of_the_table():
    page = page_of(REFUSED)
    assert "The twins differ too much." in page
    assert "u sampling" not in page
    assert "Corrected median" not in page


def test_sentences_say_what_is_found_and_how_wrong_sizes_are():
    lines = sentences(STUDY)
    assert lines[0] == (
        "Of particles of about 60.4 nm, 71% are found; their sizes are 4.0% too large on average."
    )
    assert lines[1].endswith("98% are found; their sizes are right on average.")
    assert "15.6% of the particles are found together with a neighbor" in lines[2]


def test_sentences_say_whether_sizes_are_those_of_visible_parts():
    assert sentences(STUDY)[-1].startswith("57% of the particles are partly hidden by others")
    assert "of the visible part" in sentences(STUDY)[-1]
    assert "of the visible part" not in sentences(replace(STUDY, quantity="amodal_diameter"))[-1]


def test_few_found_particles_are_a_reason_for_caution():
    assert caution(STUDY) is None
    few = replace(STUDY, found_share=0.55)
    assert "Only 55% of the particles in the twins are found" in format_corrections(few)[-1]
    assert '<p class="doubt">Only 55%' in page_of(few)


def test_the_terminal_shows_value_unit_and_interval():
    line = format_corrections(STUDY)[0]
    expected = "median, D50, nm raw 208.5 corrected 185.4 95% interval 168.2 to 204.3"
    assert " ".join(line.split()) == expected


def test_the_table_has_a_row_for_each_statistic():
    table = correction_frame(STUDY).set_index("statistic")
    assert table.loc["d50", ["raw", "corrected", "low", "high"]].tolist() == [
        208.5,
        185.4,
        168.2,
        204.3,
    ]
    assert table["unit"].tolist() == ["nm", "1/um2", ""]
    assert table.loc["d50", "u_combined"] == pytest.approx(BUDGET.combined)
    assert BUDGET.combined == pytest.approx(0.0403, abs=1e-4)


def test_the_curve_shows_every_class():
    found, error = detection_curve(STUDY.detection, "nm").axes
    assert found.lines[0].get_ydata().tolist() == [71.0, 98.0]
    assert error.lines[0].get_ydata().tolist() == pytest.approx([4.0, 0.1])
    assert error.get_xlabel() == "true size (nm)"


def test_particles_struck_out_by_hand_are_not_corrected(tmp_path):
    with pytest.raises(InputError, match="leave out the choice or the twins"):
        corrected_section(tmp_path, [result_of(frozenset([1]))], Statistics())


def test_the_recall_in_the_twins_stands_beside_the_verdict():
    assert "In the twins, 30 of 40 particles below 100 nm are found (75 %)" in page_of(STUDY)
    section = CorrectedSection(replace(STUDY, nanoscale=None), [], None, [])
    assert "not known" in recall_sentences([result_of()], "min_feret", section)[0]
    refused = CorrectedSection(REFUSED, [], None, [])
    assert "not known" in recall_sentences([result_of()], "min_feret", refused)[0]
