import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unet.convolution import convolve, pixels_at_once


def reference(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("width", "inputs", "outputs"), [(8, 1, 8), (8, 9, 3), (6, 8, 12), (7, 5, 8), (4, 20, 20)]
)
def test_value_and_gradients_are_those_of_a_plain_convolution(width, inputs, outputs, rng):
    x = jnp.asarray(rng.normal(size=(2, 5, width, inputs)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, inputs, outputs)), jnp.float32)
    weight = jnp.asarray(rng.normal(size=(2, 5, width, outputs)), jnp.float32)
    ours, expected = (
        jax.value_and_grad(lambda x, kernel, f=f: (f(x, kernel) * weight).sum(), (0, 1))(x, kernel)
        for f in (convolve, reference)
    )
    np.testing.assert_allclose(convolve(x, kernel), reference(x, kernel), atol=1e-4)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_pixels_are_computed_at_once_where_features_are_few_and_the_row_divides():
    assert jax.default_backend() == "cpu"
    assert [pixels_at_once(256, outputs) for outputs in (4, 8, 12, 16, 24)] == [4, 4, 2, 2, 1]
    assert pixels_at_once(254, 8) == 1


COMPILED = """
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from unet.convolution import convolve

mesh = Mesh(np.array(jax.devices()), ("batch",))
shared, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("batch",), ()))
x = jax.ShapeDtypeStruct((4, 8, 8, 6), np.float32, sharding=shared)
kernel = jax.ShapeDtypeStruct((3, 3, 6, 6), np.float32, sharding=whole)
gradient = jax.grad(lambda x, kernel: (convolve(x, kernel) ** 2).sum(), (0, 1))
print(jax.jit(gradient, out_shardings=(shared, whole)).lower(x, kernel).compile().as_text())
"""


def test_devices_that_share_a_batch_exchange_sums_only():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", COMPILED]
    ran = subprocess.run(command, env=os.environ | flags, capture_output=True, check=True)
    assert b"all-reduce" in ran.stdout
    assert b"all-gather" not in ran.stdout
