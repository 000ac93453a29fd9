import cv2
import numpy as np
import pytest

from unet.curves import write_curves
from unet.run_folder import LogEntry


def log(epochs, names):
    return [
        LogEntry(
            epoch=epoch,
            step=epoch,
            seconds=1.0,
            loss={"foreground": 1 / epoch, "interior": 2 / epoch},
            pixel_f1=dict.fromkeys(names, 1 - 0.5 / epoch),
        )
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize(("epochs", "names"), [(1, []), (1, ["a"]), (40, ["a", "b"])])
def test_curves_are_a_picture_with_a_panel_for_scores_where_there_are_any(epochs, names, tmp_path):
    path = tmp_path / "curves.png"
    write_curves(path, log(epochs, names))
    picture = cv2.imread(str(path))
    height, width, _ = picture.shape
    assert width > 2 * height if names else width < 2 * height
    blue = np.all(np.abs(picture.astype(int) - (0xB2, 0x72, 0x00)) < 10, axis=2)
    assert blue[:, : width // 2].any() or not names
    assert blue[:, width // 2 :].any()


def test_the_same_log_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_curves(tmp_path / f"{name}.png", log(3, ["x"]))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_an_epoch_there_is_no_picture(tmp_path):
    write_curves(tmp_path / "curves.png", [])
    assert not list(tmp_path.iterdir())


def test_curves_of_a_training_resumed_with_other_images(tmp_path):
    write_curves(tmp_path / "curves.png", [*log(2, ["a", "b"]), *log(3, ["c"])[2:]])
    assert (tmp_path / "curves.png").exists()
