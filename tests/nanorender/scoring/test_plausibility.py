from dataclasses import replace

import numpy as np
import pytest

from nanorender.measuring.measure import measure
from nanorender.randomization import read_recipe_source
from nanorender.recipe import read_recipe
from nanorender.recipes import preset_names
from nanorender.rendering import render
from nanorender.scoring.plausibility import doubts
from nanorender.scoring.results import SegmentationQuality, image_result
from nanorender.scoring.thresholding import agreement_with_threshold

GENUINE = [(name, index) for name in preset_names() for index in range(3)]


def result(image, labels, confidence=None, name="image", edge_nm=None, **quality):
    table = measure(labels, edge_nm, image, confidence=confidence)
    found = image_result(name, image, labels, edge_nm, "", table)
    return replace(found, quality=SegmentationQuality(**quality))


def grid(count=5, edge=10, gap=5):
    """A label map of squares."""
    square = np.pad(np.ones((edge, edge), np.int32), gap)
    return np.kron(np.arange(1, count**2 + 1, dtype=np.int32).reshape(count, count), square)


def noise(shape, level=100):
    return np.random.default_rng(0).integers(level - 20, level + 20, shape).astype(np.uint8)


def only(found, text):
    assert len(found) == 1
    assert text in found[0]


@pytest.mark.parametrize(("name", "index"), GENUINE)
def test_nothing_is_doubted_where_particles_are_outlined_as_they_are(name, index):
    recipe = read_recipe(name)
    sample = render(recipe.at_scale(7.0 if recipe.transmission is None else 0.5, 256), 0, index)
    confidence = np.full(int(sample.labels.max()), 0.95)
    found = {
        "repeatability": 0.8,
        "trained_diameters_px": (4.0, 400.0),
        "epoch_agreement": 0.85,
        "relative_loss": 2.0,
        "edge_nm": 2.0,
        "scale_bar_pixel_size_nm": 2.03,
    }
    assert doubts([result(sample.image, sample.labels, confidence, **found)]) == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"repeatability": 0.5}, "turned and magnified"),
        ({"trained_diameters_px": (15.0, 400.0)}, "than those that the network learned"),
        ({"trained_diameters_px": (2.0, 8.0)}, "than those that the network learned"),
        ({"epoch_agreement": 0.4}, "consecutive epochs"),
        ({"relative_loss": 4.0}, "badly fitted recipe"),
        ({"edge_nm": 2.0, "scale_bar_pixel_size_nm": 2.2}, "the scale bar states another"),
    ],
)
def test_what_the_segmentation_knows_of_itself_is_doubted(found, text):
    image, labels = bright_squares()
    only(doubts([result(image, labels, **found)]), text)


def test_particles_brighter_than_noise_are_not_doubted():
    labels = grid()
    image = noise(labels.shape)
    image[labels > 0] += 60
    assert doubts([result(image, labels)]) == []


def test_two_squares_painted_with_one_label_are_doubted():
    image, labels = bright_squares()
    only(doubts([result(image, np.where(labels == 2, 1, labels))]), "a label has separate pieces")


def test_a_wire_below_another_is_not_doubted():
    labels = np.zeros((120, 120), np.int32)
    labels[50:60], labels[:, 50:70] = 1, 2
    labels[:, (49, 70)] = 0  # the border between them
    image = noise(labels.shape)
    image[labels > 0] += 60
    assert doubts([result(image, labels)]) == []


def test_particles_taken_from_noise_are_doubted():
    labels = grid()
    only(doubts([result(noise(labels.shape), labels)]), "hardly brighter or darker")


def test_holes_beside_particles_are_doubted():
    labels = grid()
    image = noise(labels.shape)
    image[(labels > 0) & (labels % 2 == 0)] += 60
    image[labels % 2 == 1] -= 60
    only(doubts([result(image, labels)]), "many darker")


def test_many_uncertain_particles_are_doubted():
    labels = grid()
    image = noise(labels.shape)
    image[labels > 0] += 60
    confidence = np.where(np.arange(25) < 12, 0.5, 0.95)
    only(doubts([result(image, labels, confidence)]), "uncertain")
    confidence[:6] = 0.95
    assert doubts([result(image, labels, confidence)]) == []


def test_texture_cut_into_pieces_is_doubted():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200] + 6 * rng.normal(0, 1, (2, 40, 40)).repeat(5, 1).repeat(5, 2)
    labels = (1 + (y // 25).clip(0, 7) * 8 + (x // 25).clip(0, 7)).astype(np.int32)
    only(doubts([result(noise(labels.shape), labels)]), "cut into pieces")


def test_a_dense_layer_of_convex_particles_is_not_doubted():
    labels = grid(count=8, edge=23, gap=0)
    assert doubts([result(noise(labels.shape), labels)]) == []


def test_the_images_are_named():
    labels = grid()
    image = noise(labels.shape)
    bright = image + (60 * (labels > 0)).astype(np.uint8)
    fine = result(bright, labels, name="fine")
    found = doubts([fine, *(result(image, labels, name=name) for name in "abcd")])
    only(found, "In 4 images (a, b, c and others), the particles")
    assert doubts([]) == []


def bright_squares(count=8):
    """A label map of squares, and an image in which they are brighter than the noise."""
    labels = grid(count)
    image = noise(labels.shape)
    image[labels > 0] += 90
    return image, labels


def test_missed_particles_are_doubted():
    image, labels = bright_squares()
    assert doubts([result(image, labels)]) == []
    only(doubts([result(image, np.where(labels % 4 == 1, labels, 0))]), "may have been missed")
    only(doubts([result(image, np.zeros_like(labels))]), "may have been missed")
    few = np.where(labels % 2 == 1, labels, 0)  # half of the area, but 32 squares are missed
    only(doubts([result(image, few)]), "may have been missed")
    assert doubts([result(image, np.where(labels > 5, labels, 0))]) == []


def test_missed_dark_particles_are_doubted():
    image, labels = bright_squares()
    assert doubts([result(255 - image, labels)]) == []
    missing = np.where(labels % 4 == 1, labels, 0)
    only(doubts([result(255 - image, missing)]), "may have been missed")


def test_background_in_particles_is_doubted():
    image, labels = bright_squares()
    around = np.ones_like(labels)  # one particle around all squares but a strip
    around[:, -25:] = 0
    only(doubts([result(image, around)]), "background taken for them")


@pytest.mark.parametrize("index", range(12))
def test_random_rendered_images_agree_with_a_threshold_or_have_none(index):
    sample = render(read_recipe_source("any").for_sample(0, index), 0, index)
    agreement = agreement_with_threshold(sample.image, sample.labels)
    assert agreement.separability < 0.8 or agreement.overlap > 0.6
    assert agreement.separability < 0.8 or agreement.missed <= 1


def test_an_image_of_one_gray_level_has_nothing_to_separate():
    flat = np.full((30, 30), 7, np.uint8)
    assert agreement_with_threshold(flat, np.zeros((30, 30), np.int32)) == (0.0, 0.0, 0, 0)


def test_large_images_are_compared_in_fewer_pixels(monkeypatch):
    image, labels = bright_squares()
    monkeypatch.setattr("nanorender.scoring.thresholding.LARGEST_PX", 100)
    agreement = agreement_with_threshold(image, labels)
    assert (agreement.objects, agreement.missed) == (64, 0)
    assert agreement.overlap > 0.7


def test_particles_cut_by_the_frame_are_doubted_where_they_count():
    labels = grid()
    image = noise(labels.shape)
    image[labels > 0] += 60
    inside = result(image, labels)
    cut = result(image[7:], labels[7:])  # the first of five rows
    assert doubts([inside], "keep") == doubts([cut], "miles_lantuejoul") == []
    only(doubts([cut], "keep"), "20 % of the particles are cut by the frame")


def test_images_of_other_sizes_are_doubted():
    studies = {}
    for edge in (10, 15, 25):
        labels = grid(edge=edge)
        image = noise(labels.shape)
        image[labels > 0] += 60
        studies[edge] = result(image, labels, name=f"edge {edge}")
    assert doubts([studies[10], studies[15]]) == []
    only(doubts(list(studies.values())), "from 11.3 px (edge 10) to 28.2 px (edge 25)")


def test_a_blank_image_is_doubted():
    blank = np.zeros((60, 80), np.uint8)
    blank[3, 5] = 35
    only(doubts([result(blank, np.zeros(blank.shape, np.int32))]), "the image is blank")


def test_medians_of_few_particles_of_wide_distributions_are_not_doubted():
    sizes = np.random.default_rng(3)
    studies = []
    for index in range(6):
        labels = np.zeros((600, 600), np.int32)
        for number in range(12):
            edge = int(np.clip(20 * np.exp(sizes.normal()), 5, 90))
            row, column = divmod(number, 4)
            labels[150 * row :, 150 * column :][50 : 50 + edge, 50 : 50 + edge] = number + 1
        image = noise(labels.shape)
        image[labels > 0] += 60
        studies.append(result(image, labels, name=str(index)))
    medians = [each.table["equivalent_diameter_px"].median() for each in studies]
    assert max(medians) > 2 * min(medians)
    assert doubts(studies) == []
