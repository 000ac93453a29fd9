import json
from pathlib import Path

import pytest

from nanorender.files.labeled import LabeledImage
from unet import bench
from unet.presets import PRESETS


@pytest.fixture
def measured(monkeypatch, small, discs):
    monkeypatch.setitem(PRESETS, "cpu", small)
    image, labels = discs(0, 128)
    training = [LabeledImage(image, labels, 6.0, Path("discs.tif"))]
    return bench.bench_network(training, image)


def test_every_time_of_the_network_is_measured(measured):
    assert set(measured["training"]) == {"cpu"}
    step = measured["training"]["cpu"]
    assert step["precision"] == "float32"
    times = (step["compile_s"], step["step_ms"])
    assert min(*times, measured["predict_ms_per_mpx"], measured["segment_ms_per_mpx"]) > 0
    assert json.loads(json.dumps(measured)) == measured


def test_text_names_the_device_and_all_times(measured):
    lines = bench.format_bench(measured)
    assert lines[0] == measured["device"]
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "training step",
        "prediction",
        "segmentation",
    ]
