import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unet.augment
from nanorender.errors import InputError
from nanorender.files.collection import Reading, read_collection
from nanorender.files.tiff import write_image, write_labels
from unet.annotated import add_annotated, load_annotated
from unet.augment import PatchSources
from unet.data import equalize, load_dataset
from unet.presets import Augmentation
from unet.targets import close_gaps

draw_batch = jax.jit(unet.augment.draw_batch, static_argnums=(3, 4, 5, 6))


@pytest.fixture
def write_annotated(tmp_path, discs):
    """Return a function that writes annotated micrographs of one pixel size and names them."""

    def write(count, pixel_size_nm, truth="_m"):
        folder = tmp_path / "annotated"
        folder.mkdir()
        for index in range(count):
            image, labels = discs(20 + index, 96)
            write_image(folder / f"{index}.tif", image, pixel_size_nm)
            write_labels(folder / f"{index}_m.tif", labels, pixel_size_nm)
        return read_collection(folder, Reading(truth=truth))

    return write


def test_lines_between_particles_are_given_to_one_of_them_and_no_other_background():
    labels = np.zeros((7, 12), np.int32)
    labels[1:6, 1:5], labels[1:6, 6:10] = 1, 2
    filled = close_gaps(labels)
    np.testing.assert_array_equal(filled[1:6, 5], 2)
    np.testing.assert_array_equal(np.delete(filled, 5, axis=1), np.delete(labels, 5, axis=1))
    np.testing.assert_array_equal(close_gaps(filled)[1:6], filled[1:6])


def test_a_gap_of_two_pixels_stays():
    labels = np.repeat([[1, 1, 0, 0, 2, 2]], 4, axis=0).astype(np.int32)
    np.testing.assert_array_equal(close_gaps(labels), labels)


def test_annotated_micrographs_are_samples_of_their_own(write_annotated, small, discs):
    samples = load_annotated(write_annotated(2, 6.0), small)
    assert samples.annotated == 2
    assert samples.pixel_sizes.median_nm == 6.0
    np.testing.assert_array_equal(samples.pixels[1, ..., 0], equalize(discs(21, 96)[0]))


def test_mixed_in_they_come_last_and_extend_what_is_known_of_scale(
    write_annotated, dataset, small, discs
):
    synthetic = load_dataset(dataset, small)
    samples = add_annotated(synthetic, write_annotated(2, 8.5), small)
    assert samples.annotated == 2
    np.testing.assert_array_equal(samples.sizes, [[64, 64]] * 3 + [[96, 96]] * 2)
    np.testing.assert_array_equal(samples.pixels[:3, :64, :64], synthetic.pixels)
    annotation = close_gaps(discs(21, 96)[1])
    np.testing.assert_array_equal(samples.pixels[4, ..., 1] > 0, annotation > 0)
    assert samples.pixel_sizes.median_nm == synthetic.pixel_sizes.median_nm
    assert samples.pixel_sizes.highest_nm == 8.5 * small.augmentation.zoom
    assert samples.diameters.lowest <= synthetic.diameters.lowest
    assert samples.diameters.highest >= synthetic.diameters.highest


def test_micrographs_of_another_scale_are_resampled_with_their_annotation(
    write_annotated, dataset, small
):
    with pytest.warns(UserWarning, match="12 nm is outside"):
        samples = add_annotated(load_dataset(dataset, small), write_annotated(1, 12.0), small)
    assert samples.sizes[3].tolist() == [192, 192]
    found = samples.pixels[3, ..., 1] > 0
    np.testing.assert_array_equal(found[::2, ::2], found[1::2, 1::2])


def test_without_annotations_training_is_refused(write_annotated, small):
    with pytest.raises(InputError, match="has no annotation to train on"):
        load_annotated(write_annotated(1, 6.0, truth=None), small)


@pytest.mark.parametrize(("share", "annotated"), [(0.25, 2), (0.5, 4)])
def test_patches_come_from_annotated_micrographs_as_often_as_asked(share, annotated):
    pixels = np.zeros((4, 16, 16, 2), np.uint8)
    pixels[4 - annotated :] = 255
    plain = Augmentation(gain=0, offset=0, gamma=1, noise=0, blur=0)
    sizes = jnp.full((4, 2), 16, jnp.int32)
    sources = PatchSources(annotated, share)
    batch = draw_batch(jax.random.key(0), jnp.asarray(pixels), sizes, 2000, 4, plain, sources)
    drawn = float((batch.images[:, 0, 0, 0] > 0.5).mean())
    # Alone, annotated micrographs are all there is. Four standard errors of 2000 draws else.
    expected = 1.0 if annotated == 4 else share
    assert drawn == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000))
