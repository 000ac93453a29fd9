from typing import get_args

import pytest

from nanorender.errors import InputError
from unet.presets import PRESETS, Augmentation, TargetName, TrainSettings, preset
from unet.targets import TARGETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_survives_toml(name):
    settings = preset(name)
    assert TrainSettings.from_toml(settings.to_toml(), name) == settings


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'tpu' is unknown") as refused:
        preset("tpu")
    assert f"choose one of {', '.join(PRESETS)}" in str(refused.value)


def refusal(**changes):
    text = preset("cpu").model_copy(update=changes).to_toml()
    with pytest.raises(InputError) as caught:
        TrainSettings.from_toml(text, "settings")
    return str(caught.value)


def test_patches_that_pooling_cannot_halve_are_refused():
    assert "patch_px (=100) must be a multiple of 16" in refusal(patch_px=100)


def test_targets_must_contain_the_foreground_once():
    assert "must contain 'foreground'" in refusal(targets=("interior",))
    assert "must not repeat" in refusal(targets=("foreground", "foreground"))


def test_an_unknown_target_is_refused():
    assert "'foreground', 'interior'" in refusal(targets=("foreground", "halo"))


def test_the_preset_of_the_paper_trains_as_the_paper_says():
    paper = preset("paper")
    assert paper.channels == (64, 128, 256, 512, 1024)
    assert (paper.patch_px, paper.batch, paper.steps_per_epoch, paper.epochs) == (400, 2, 150, 500)
    assert (paper.learning_rate, paper.schedule, paper.threshold) == (1e-3, "constant", 0.51)
    assert paper.targets == ("foreground",)


def test_every_target_can_be_computed():
    assert set(TARGETS) == set(get_args(TargetName))


def test_every_setting_is_described():
    for group in (TrainSettings, Augmentation):
        assert all(field.description for field in group.model_fields.values())
