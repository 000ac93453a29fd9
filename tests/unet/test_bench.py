import json

import pytest

from unet import bench
from unet.presets import PRESETS


@pytest.fixture
def measured(monkeypatch, small):
    monkeypatch.setitem(PRESETS, "cpu", small)
    monkeypatch.setattr(bench, "IMAGE_PX", 128)
    return bench.bench_network()


def test_every_time_of_the_network_is_measured(measured):
    assert set(measured["training"]) == {"cpu"}
    step = measured["training"]["cpu"]
    assert step["precision"] == "float32"
    assert 0 < step["step_ms"] < 1e3 * step["compile_s"]
    assert 0 < measured["predict_ms_per_mpx"] < measured["segment_ms_per_mpx"]
    assert json.loads(json.dumps(measured)) == measured


def test_text_names_the_device_and_all_times(measured):
    lines = bench.format_bench(measured)
    assert lines[0] == measured["device"]
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "training step",
        "prediction",
        "segmentation",
    ]
