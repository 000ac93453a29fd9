from itertools import pairwise

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from unet.model import (
    Convolutions,
    UpSampling,
    abstract_model,
    from_blocks,
    get_weights,
    initial_weights,
    pool,
    set_weights,
    to_blocks,
    weight_shapes,
)
from unet.presets import PAPER, PRESETS, Architecture


def count(architecture):
    """Parameters counted by hand: kernels, scale and shift of each norm, biases."""
    channels, area = architecture.channels, architecture.block_px**2
    total, inputs = 0, area
    for features in channels:
        total += 9 * inputs * features + 9 * features**2 + 4 * features
        inputs = features
    for fine, coarse in pairwise(channels):
        total += 4 * coarse * fine + fine
        total += 9 * 2 * fine * fine + 9 * fine**2 + 4 * fine
    return total + (channels[0] + 1) * architecture.outputs * area


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_the_parameters_counted_by_hand(name):
    settings = PRESETS[name]
    model = abstract_model(settings.architecture)
    parameters = nnx.to_flat_state(nnx.state(model, nnx.Param))
    counted = sum(int(np.prod(value.shape)) for _, value in parameters)
    assert counted == count(settings.architecture)


def test_the_network_of_the_paper_has_31_million_parameters():
    assert count(PAPER.architecture) == pytest.approx(31.0e6, abs=0.05e6)


def test_pooling_is_flax_max_pooling(rng):
    x = rng.normal(size=(2, 8, 6, 3)).astype(np.float32)
    expected = flax.linen.max_pool(jnp.asarray(x), (2, 2), strides=(2, 2))
    np.testing.assert_array_equal(pool(jnp.asarray(x)), expected)


def test_up_sampling_is_a_transposed_convolution_of_stride_2(rng):
    up = UpSampling(3, 5, nnx.Rngs(0))
    up.bias[...] = jnp.arange(5.0)
    x = jnp.asarray(rng.normal(size=(2, 4, 6, 3)), jnp.float32)
    kernel = up.kernel[...].reshape(3, 2, 2, 5).transpose(1, 2, 0, 3)
    # conv_transpose is a convolution of the dilated input: it runs through its kernel backwards.
    expected = jax.lax.conv_transpose(
        x, kernel[::-1, ::-1], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(up(x), expected + jnp.arange(5.0), atol=1e-5)


def test_the_first_weights_have_the_variance_of_he():
    weights = initial_weights(Architecture((16, 32), 1, 1), np.random.default_rng(0))
    kernel = weights["encoder/1/convolution2/kernel"]
    assert kernel.shape == (3, 3, 32, 32)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 32)), rel=0.03)
    assert np.all(weights["encoder/0/norm1/scale"] == 1)


def test_weights_round_trip():
    architecture = Architecture((2, 3), 2, 2)
    weights = initial_weights(architecture, np.random.default_rng(0))
    model = set_weights(abstract_model(architecture), weights)
    back = get_weights(nnx.state(model))
    assert {name: array.shape for name, array in back.items()} == weight_shapes(model)
    for name, array in weights.items():
        np.testing.assert_array_equal(back[name], array)


def test_blocks_hold_the_pixels_of_their_squares(rng):
    x = jnp.asarray(rng.normal(size=(2, 4, 6, 3)), jnp.float32)
    blocks = to_blocks(x, 2)
    np.testing.assert_array_equal(blocks[1, 0, 2], x[1, 0:2, 4:6].reshape(12))
    np.testing.assert_array_equal(from_blocks(blocks, 2), x)


@pytest.mark.parametrize(("levels", "block_px"), [(2, 1), (3, 1), (2, 2), (3, 2)])
def test_a_logit_depends_on_nothing_beyond_its_reach(levels, block_px, rng):
    architecture = Architecture(tuple(range(2, 2 + levels)), 1, block_px)
    model = set_weights(abstract_model(architecture), initial_weights(architecture, rng))
    model.eval()
    reach = architecture.reach_px
    size = 4 * reach
    column = size // 2 + 1

    @jax.jit
    def sensitivity(image):
        return jax.grad(lambda x: model(x)[0, column, column, 0])(image)

    gradient = np.abs(sensitivity(jnp.asarray(rng.random((1, size, size, 1)), jnp.float32)))
    seen = np.flatnonzero(gradient[0, :, :, 0].any(axis=0))
    assert column - reach <= seen.min() < column - reach / 3
    assert column + reach / 3 < seen.max() <= column + reach


def test_prediction_normalizes_by_the_statistics_of_training():
    rng = np.random.default_rng(3)
    block = Convolutions(2, 5, nnx.Rngs(0))
    for norm in (block.norm1, block.norm2):
        for value in (norm.mean, norm.var, norm.scale, norm.bias):
            value[...] = jnp.asarray(rng.uniform(0.5, 1.5, 5), jnp.float32)
    block.eval()
    image = jnp.asarray(rng.random((1, 8, 8, 2)), jnp.float32)
    expected = image
    for convolution, norm in (
        (block.convolution1, block.norm1),
        (block.convolution2, block.norm2),
    ):
        expected = nnx.relu(norm(convolution(expected)))
    np.testing.assert_allclose(block(image), expected, rtol=1e-4, atol=1e-4)
