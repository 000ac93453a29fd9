import jax.numpy as jnp
import numpy as np

from unet.losses import border_weights, cross_entropy


def test_cross_entropy_is_its_formula_by_target(rng):
    logits = rng.normal(size=(2, 4, 4, 3))
    truth = rng.random((2, 4, 4, 3))
    p = 1 / (1 + np.exp(-logits))
    expected = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean((0, 1, 2))
    found = cross_entropy(jnp.float32(logits), jnp.float32(truth), jnp.ones((2, 4, 4)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_pixels_of_weight_zero_do_not_count(rng):
    logits = rng.normal(size=(1, 4, 4, 2)).astype(np.float32)
    truth = (logits > 0).astype(np.float32)
    weights = np.zeros((1, 4, 4), np.float32)
    weights[:, :2] = 1
    spoiled = logits.copy()
    spoiled[:, 2:] = -50 * (2 * truth[:, 2:] - 1)
    expected = cross_entropy(*map(jnp.asarray, (logits, truth, weights)))
    found = cross_entropy(*map(jnp.asarray, (spoiled, truth, weights)))
    np.testing.assert_allclose(found, expected)


def test_borders_weigh_more_where_they_are_a_target():
    truth = jnp.zeros((1, 2, 2, 2)).at[0, 0, 0, 1].set(1)
    weights = border_weights(truth, ("foreground", "boundary"), 3.0)
    np.testing.assert_array_equal(weights, [[[4, 1], [1, 1]]])
    np.testing.assert_array_equal(border_weights(truth, ("foreground", "interior"), 3.0), 1)
