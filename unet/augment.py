"""Random patches of the training images, sampled and augmented within the compiled step."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from unet.presets import Augmentation

_COARSE_POINTS = 12  # per edge, at which candidates for a patch are sampled


class PatchSources(NamedTuple):
    """Share of the patches that come from annotated micrographs.

    Attributes
    ----------
    annotated : number of annotated micrographs, which come last among the images
    share : fraction of the patches
    """

    annotated: int
    share: float


class PatchPlacement(NamedTuple):
    """Positions of patches in the images.

    Attributes
    ----------
    which : index of the image of each patch
    center : y and x of its center, in px
    cos_sin : cosine and sine of its rotation, divided by its zoom
    flip : 1, or -1 if mirrored
    """

    which: Int[Array, "b"]
    center: Float[Array, "b 2"]
    cos_sin: Float[Array, "b 2"]
    flip: Float[Array, "b"]


class Batch(NamedTuple):
    """Patches and their targets.

    Attributes
    ----------
    images : (b, p, p, 1) gray values, about 0 to 1
    targets : (b, p, p, t) targets from 0 to 1
    """

    images: Float[Array, "b p p 1"]
    targets: Float[Array, "b p p t"]


def draw_batch(
    key: PRNGKeyArray,
    pixels: UInt8[Array, "n h w c"],
    sizes: Int[Array, "n 2"],
    count: int,
    edge: int,
    settings: Augmentation,
    sources: PatchSources,
) -> Batch:
    """Sample random patches; images and targets are transformed alike.

    Parameters
    ----------
    key : random key
    pixels : (n, h, w, 1 + targets) images and targets, see `unet.data.Samples`
    sizes : (n, 2) height and width of each image in px
    count : number of patches
    edge : edge of the patches in px
    settings : augmentation settings
    sources : share of the patches from annotated micrographs

    Returns
    -------
    batch : patches and targets

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> pixels, sizes = jnp.zeros((3, 64, 64, 2), jnp.uint8), jnp.full((3, 2), 64)
    >>> sources = PatchSources(annotated=0, share=0.0)
    >>> batch = draw_batch(jax.random.key(0), pixels, sizes, 2, 16, Augmentation(), sources)
    >>> batch.images.shape, batch.targets.shape
    ((2, 16, 16, 1), (2, 16, 16, 1))
    """
    place, gray = jax.random.split(key)
    images = jnp.tile(_draw_range(place, sizes.shape[0], count, sources), settings.candidates)
    places = _draw_places(place, sizes, images, edge, settings)
    places = _fullest(places, pixels, sizes, count, edge)
    patches = _sample(pixels, sizes, places.which, *_coordinates(places, _pixel_centers(edge)))
    images = change_gray(gray, patches[..., :1], settings)
    return Batch(images, patches[..., 1:])


def change_gray(
    key: PRNGKeyArray, images: Float[Array, "b p p 1"], settings: Augmentation
) -> Float[Array, "b p p 1"]:
    """Apply random noise, blur, gamma, gain and offset, each drawn once per patch.

    Noise is added before the blur, since noise in micrographs is correlated between neighboring
    pixels.

    Parameters
    ----------
    key : random key
    images : (b, p, p, 1) gray values from 0 to 1
    settings : augmentation settings

    Returns
    -------
    images : (b, p, p, 1) changed gray values
    """
    keys = jax.random.split(key, 6)
    shape = (images.shape[0], 1, 1, 1)

    def draw(index: int, low: float, high: float) -> Array:
        return jax.random.uniform(keys[index], shape, minval=low, maxval=high)

    if settings.noise:
        images += draw(0, 0.0, settings.noise) * jax.random.normal(keys[5], images.shape)
    if settings.blur:
        images += draw(1, 0.0, settings.blur) * (_blur(images) - images)
    logarithm = math.log(settings.gamma)
    images = jnp.clip(images, 0, 1) ** jnp.exp(draw(2, -logarithm, logarithm))
    gain = 1 + draw(3, -settings.gain, settings.gain)
    return (images - 0.5) * gain + 0.5 + draw(4, -settings.offset, settings.offset)


def _draw_range(
    key: PRNGKeyArray, images: int, count: int, sources: PatchSources
) -> Int[Array, "2 b"]:
    """Draw for each patch the range of images it comes from: first index and end."""
    synthetic = images - sources.annotated
    if sources.annotated == 0 or synthetic == 0:
        return jnp.broadcast_to(jnp.array([[0], [images]]), (2, count))
    real = jax.random.bernoulli(jax.random.fold_in(key, 0), sources.share, (count,))
    return jnp.stack([jnp.where(real, synthetic, 0), jnp.where(real, images, synthetic)])


def _draw_places(
    key: PRNGKeyArray,
    sizes: Int[Array, "n 2"],
    images: Int[Array, "2 b"],
    edge: int,
    settings: Augmentation,
) -> PatchPlacement:
    """Draw positions of patches, entirely inside their images where possible."""
    count = images.shape[1]
    keys = jax.random.split(key, 6)
    which = jax.random.randint(keys[0], (count,), *images)
    extent = sizes[which].astype(jnp.float32)
    turn = jnp.deg2rad(settings.rotation_deg) * jax.random.uniform(keys[1], (count,), minval=-1.0)
    turn += jnp.pi / 2 * jax.random.randint(keys[2], (count,), 0, 4)
    flip = jax.random.rademacher(keys[3], (count,), dtype=jnp.float32)
    zoom = settings.zoom ** jax.random.uniform(keys[4], (count,), minval=-1.0)
    cosine, sine = jnp.cos(turn) / zoom, jnp.sin(turn) / zoom
    reach = (edge / 2) * (jnp.abs(cosine) + jnp.abs(sine))[:, None]
    room = jnp.maximum(extent - 2 * reach, 0)
    center = (extent - room) / 2 + room * jax.random.uniform(keys[5], (count, 2))
    return PatchPlacement(which, center, jnp.stack([cosine, sine], axis=-1), flip)


def _fullest(
    places: PatchPlacement,
    pixels: UInt8[Array, "n h w c"],
    sizes: Int[Array, "n 2"],
    count: int,
    edge: int,
) -> PatchPlacement:
    """Select of each group of candidates the patch with the largest area of the first target."""
    if places.which.size == count:
        return places
    coarse = edge * (jnp.arange(_COARSE_POINTS) + 0.5) / _COARSE_POINTS - edge / 2
    content = _sample(pixels, sizes, places.which, *_coordinates(places, coarse))[..., 1]
    best = content.mean((1, 2)).reshape(-1, count).argmax(axis=0) * count + jnp.arange(count)
    return PatchPlacement(*(part[best] for part in places))


def _pixel_centers(edge: int) -> Float[Array, "p"]:
    """Offsets of the pixels of a patch from its center, in px along one axis."""
    return jnp.arange(edge) + 0.5 - edge / 2


def _coordinates(
    places: PatchPlacement, offset: Float[Array, "p"]
) -> tuple[Float[Array, "b p p"], Float[Array, "b p p"]]:
    """Image coordinates y and x of a square grid of points in each patch, as pixel indices."""
    v, u = jnp.meshgrid(offset, offset, indexing="ij")
    u = u * places.flip[:, None, None]
    cosine, sine = (places.cos_sin[:, axis, None, None] for axis in (0, 1))
    y = places.center[:, 0, None, None] + cosine * v + sine * u - 0.5
    x = places.center[:, 1, None, None] - sine * v + cosine * u - 0.5
    return y, x


def _sample(
    pixels: UInt8[Array, "n h w c"],
    sizes: Int[Array, "n 2"],
    which: Int[Array, "b"],
    y: Float[Array, "b p p"],
    x: Float[Array, "b p p"],
) -> Float[Array, "b p p c"]:
    """Sample images by bilinear interpolation; they are mirrored at their edges."""
    image = which[:, None, None]
    height, width = (sizes[which, axis][:, None, None] for axis in (0, 1))
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]
    rows = [_mirrored(top.astype(jnp.int32) + step, height) for step in (0, 1)]
    columns = [_mirrored(left.astype(jnp.int32) + step, width) for step in (0, 1)]

    def corner(row: int, column: int) -> Array:
        return pixels[image, rows[row], columns[column]].astype(jnp.float32) / 255

    upper = corner(0, 0) * (1 - right) + corner(0, 1) * right
    lower = corner(1, 0) * (1 - right) + corner(1, 1) * right
    return upper * (1 - down) + lower * down


def _mirrored(index: Int[Array, "..."], size: Int[Array, "..."]) -> Int[Array, "..."]:
    """Reflect indices at the edges of the image, repeating edge pixels."""
    index = jnp.mod(index, 2 * size)
    return jnp.where(index < size, index, 2 * size - 1 - index)


def _blur(images: Float[Array, "b p p 1"]) -> Float[Array, "b p p 1"]:
    """Apply the binomial filter [1, 2, 1] / 4 twice along both axes."""
    for axis in (1, 2):
        for _ in range(2):
            widths = [(1, 1) if a == axis else (0, 0) for a in range(4)]
            padded = jnp.pad(images, widths, mode="edge")
            size = images.shape[axis]
            before, here, after = (
                jax.lax.slice_in_dim(padded, s, s + size, axis=axis) for s in (0, 1, 2)
            )
            images = (before + 2 * here + after) / 4
    return images
