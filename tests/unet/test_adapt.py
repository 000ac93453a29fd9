import numpy as np
import pytest

from nanorender.errors import InputError
from nanorender.files.checksums import file_sha256
from nanorender.files.labeled import LabeledImage
from nanorender.files.micrograph import read_micrograph
from nanorender.files.segmentation import SegmentationRecord
from nanorender.files.tiff import write_image
from nanorender.models import general_model
from unet import adapt
from unet.adapt import ADAPTATION, Adaptation, TwinSet, adaptation_settings, is_better
from unet.checkpoint import MODEL_NAME, read_model, write_model
from unet.presets import PRESETS, preset
from unet.segment import segment_micrograph
from unet.step import initial_weights


@pytest.mark.parametrize(
    ("after", "repeatability", "better"),
    [
        ((0.82, 0.73, 0.91, 0.83), (0.9, 0.89), True),
        ((0.82, 0.73, 0.91, 0.83), (None, None), True),
        ((0.82, 0.73, 0.91, 0.83), (0.9, 0.8), False),  # finds other particles again
        ((0.82, 0.73, 0.91, 0.83), (0.9, None), False),  # finds hardly any
        ((0.9, 0.6, 0.91, 0.81), (0.9, 0.9), False),  # by chance
        ((0.8, 0.7, 0.9, 0.8), (0.9, 0.9), False),
        ((0.7, 0.6, 0.8, 0.7), (0.9, 0.95), False),
    ],
)
def test_an_adapted_model_is_better_where_twins_show_it(after, repeatability, better):
    assert is_better((0.8, 0.7, 0.9, 0.8), after, *repeatability) == better


def test_repeatability_is_compared_on_the_same_micrographs(tmp_path, monkeypatch):
    values = {"before": [0.95, 0.6, None], "after": [0.95, None, 0.9]}
    monkeypatch.setattr(adapt, "_repeatabilities", lambda path, *_: values[path.name])
    record = SegmentationRecord.model_construct()
    paths = (tmp_path / "before", tmp_path / "after")
    assert adapt._mean_repeatabilities(paths, record, []) == pytest.approx((0.775, 0.475))


def test_network_and_targets_are_those_of_the_model():
    initial = preset("paper")
    settings = adaptation_settings(initial, 3)
    assert settings.architecture == initial.architecture
    assert (settings.targets, settings.erosion_px) == (initial.targets, initial.erosion_px)
    assert (settings.learning_rate, settings.seed) == (PRESETS["adapt"].learning_rate, 3)


@pytest.fixture
def initial(card, tmp_path):
    """A model for particles of any size, with a confidence of its own."""
    confidence = read_model(general_model())[0].confidence
    card = card.model_copy(update={"pixel_sizes": None, "confidence": confidence})
    weights = initial_weights(card.training.architecture, np.random.default_rng(0))
    write_model(tmp_path / "initial.safetensors", card, weights)
    return tmp_path / "initial.safetensors"


@pytest.fixture
def adapted(initial, small, discs, tmp_path, monkeypatch):
    """Return a function that adapts the model to images of discs."""
    quick = small.model_copy(update={"epochs": 1})
    monkeypatch.setitem(PRESETS, "adapt", quick)
    write_image(tmp_path / "a.tif", discs(7)[0], 6.0)
    micrograph = read_micrograph(tmp_path / "a.tif")
    record = segment_micrograph(micrograph, initial).record

    def run(model=initial, first_seed=0, relative_loss=1.5):
        drawn = map(discs, range(first_seed, first_seed + 5))
        images = [LabeledImage(image, labels, None, tmp_path) for image, labels in drawn]
        twins = TwinSet(iter(images[:3]), 3, images[3:], relative_loss)
        return adapt.adapt(model, twins, [micrograph], record, tmp_path / "run")

    return run


def test_the_earlier_model_is_kept_where_training_gains_nothing(initial, adapted, tmp_path):
    found = adapted()
    assert not found.kept  # two steps do not teach a random network anything
    folder = tmp_path / "run"
    assert file_sha256(folder / MODEL_NAME) == file_sha256(initial) == found.initial_sha256
    assert str(found).endswith("the earlier model is kept")
    written = (folder / ADAPTATION).read_text(encoding="utf-8")
    assert Adaptation.model_validate_json(written) == found
    assert adapted() == found  # again, from the finished training


def test_a_better_model_keeps_the_confidence_of_the_earlier_one(
    initial, adapted, tmp_path, monkeypatch
):
    scores = {initial: (0.5, 0.6)}
    monkeypatch.setattr(adapt, "_scores", lambda path, *_: scores.get(path, (0.7, 0.82)))
    found = adapted()
    assert found.kept
    assert str(found).endswith("the adapted model is kept")
    card, weights = read_model(tmp_path / "run" / MODEL_NAME)
    before, earlier_weights = read_model(initial)
    assert card.confidence == before.confidence
    assert (card.pixel_sizes, card.relative_loss) == (None, 1.5)
    assert card.initial_sha256 == before.weights_sha256
    assert any(not np.array_equal(weights[name], earlier_weights[name]) for name in weights)


def test_a_model_for_one_pixel_size_is_refused(card, adapted, tmp_path):
    weights = initial_weights(card.training.architecture, np.random.default_rng(0))
    write_model(tmp_path / "scaled.safetensors", card, weights)
    with pytest.raises(InputError, match="adapt the general model"):
        adapted(tmp_path / "scaled.safetensors")


def test_other_twins_are_learned_anew(adapted, tmp_path):
    adapted()
    run_record = tmp_path / "run" / "training" / "run.json"
    before = run_record.read_bytes()
    adapted(first_seed=20)
    assert run_record.read_bytes() != before
    adapted()
    assert run_record.read_bytes() == before


def test_twins_unlike_the_micrographs_are_not_learned(adapted, tmp_path):
    with pytest.raises(InputError, match=r"by 3\.4 noise floors, more than 3, .* choose a recipe"):
        adapted(relative_loss=3.4)
    assert not (tmp_path / "run").exists()


def test_only_folders_of_an_adaptation_are_written(initial, adapted, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"contains notes\.txt, which 'adapt' has not written"):
        adapted()
    (run / "notes.txt").unlink()
    (run / MODEL_NAME).write_bytes(initial.read_bytes())
    with pytest.raises(InputError, match="was not written by 'adapt'"):
        adapted()
    (run / MODEL_NAME).unlink()
    adapted()
    with pytest.raises(InputError, match="is itself to be adapted"):
        adapted(run / MODEL_NAME)
    record = (run / ADAPTATION).read_text(encoding="utf-8")
    (run / ADAPTATION).write_text(record.replace('"model_sha256": "', '"model_sha256": "0'))
    with pytest.raises(InputError, match="was not written by 'adapt'"):  # by another command
        adapted()
