import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unet.augment
from unet.presets import Augmentation

draw_batch = jax.jit(unet.augment.draw_batch, static_argnums=(3, 4, 5, 6))
change_gray = jax.jit(unet.augment.change_gray, static_argnums=2)

SYNTHETIC = unet.augment.PatchSources(annotated=0, share=0.0)
STILL = Augmentation(
    candidates=1, zoom=1, rotation_deg=0, gain=0, offset=0, gamma=1, noise=0, blur=0
)
MOVING = STILL.model_copy(update={"zoom": 1.3, "rotation_deg": 45.0})


def pixels_of(image):
    """One sample whose image and only target are the same."""
    return jnp.stack([image, image], axis=-1)[None], jnp.array([image.shape], jnp.int32)


@pytest.fixture
def smooth():
    """An image without symmetry, (40, 48) uint8."""
    y, x = np.mgrid[:40, :48]
    return (90 + 60 * np.sin(x / 7) + 50 * np.cos(y / 5) + x).astype(np.uint8)


def draw(image, seed, settings, count=4, edge=16):
    return draw_batch(jax.random.key(seed), *pixels_of(image), count, edge, settings, SYNTHETIC)


def test_image_and_target_move_alike(smooth):
    batch = draw(smooth, 0, MOVING)
    np.testing.assert_allclose(batch.images, batch.targets, atol=1e-6)
    assert np.ptp(np.asarray(batch.images[0] - batch.images[1])) > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_without_zoom_and_angle_a_patch_is_a_turned_or_flipped_part(smooth, seed):
    patch = np.asarray(draw(smooth, seed, STILL, 1, 40).images[0, ..., 0])
    parts = [smooth[:, x : x + 40] / 255 for x in range(9)]
    versions = [np.rot90(p[:, ::f], k) for p in parts for f in (1, -1) for k in range(4)]
    # A center between two pixels is interpolated: neighbors differ by less than 0.07.
    assert min(np.abs(patch - version).max() for version in versions) < 0.07


def test_patches_never_show_the_padding_of_smaller_images(smooth):
    stack = np.full((1, 60, 60, 2), 255, np.uint8)
    stack[0, :40, :48] = 10
    sizes = jnp.array([[40, 48]], jnp.int32)
    batch = draw_batch(jax.random.key(0), jnp.asarray(stack), sizes, 8, 64, MOVING, SYNTHETIC)
    np.testing.assert_allclose(batch.images, 10 / 255, atol=1e-6)


def test_batches_depend_on_the_key_alone(smooth):
    first, again, other = (draw(smooth, seed, MOVING) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    assert np.abs(np.asarray(first.images - other.images)).max() > 0.01


def test_of_several_candidates_the_patch_with_most_particles_is_taken():
    image = np.zeros((200, 200), np.uint8)
    image[:50, :50] = 255
    one = draw(image, 0, STILL, 128, 40).targets.mean()
    best_of_four = STILL.model_copy(update={"candidates": 4})
    assert draw(image, 0, best_of_four, 128, 40).targets.mean() > 2 * one


def test_noise_has_at_most_the_deviation_set():
    gray = jnp.full((64, 32, 32, 1), 0.5)
    noisy = change_gray(jax.random.key(0), gray, STILL.model_copy(update={"noise": 0.1}))
    spread = np.asarray(noisy).std(axis=(1, 2, 3))
    assert 0.08 < spread.max() <= 0.105
    assert spread.mean() == pytest.approx(0.05, abs=0.015)


def test_blur_lowers_noise_as_the_binomial_filter_does(rng):
    noise = jnp.asarray(rng.normal(0.5, 0.05, (64, 32, 32, 1)), jnp.float32)
    blurred = change_gray(jax.random.key(0), noise, STILL.model_copy(update={"blur": 1.0}))
    # The filter 1 4 6 4 1 along an axis keeps 70 / 256 of the variance; both axes, squared.
    lowest = np.asarray(blurred).std(axis=(1, 2, 3)).min()
    assert lowest == pytest.approx(0.05 * 70 / 256, rel=0.2)


def test_gain_offset_and_gamma_stay_within_their_bounds():
    gray = jnp.full((256, 2, 2, 1), 0.8)
    settings = STILL.model_copy(update={"gain": 0.5, "offset": 0.1, "gamma": 2.0})
    changed = np.asarray(change_gray(jax.random.key(0), gray, settings))
    # Darkest at gamma 2 and the least gain, brightest at gamma 1/2 and the largest gain.
    lowest = (0.8**2 - 0.5) * 0.5 + 0.5 - 0.1
    highest = (0.8**0.5 - 0.5) * 1.5 + 0.5 + 0.1
    assert lowest <= changed.min() < lowest + 0.1
    assert highest - 0.1 < changed.max() <= highest
