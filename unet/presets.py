"""Training settings and the presets, each defined by the fields in which it differs."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from nanorender.errors import InputError
from nanorender.settings import Settings

TargetName = Literal["foreground", "interior", "boundary", "distance"]
"""Outputs that a network can be trained for; `unet.targets.TARGETS` computes them."""

TruthCriterion = Literal["object_f1", "pixel_f1", "error"]
"""Scores against annotations by which an epoch can be selected."""

SelectionCriterion = Literal[TruthCriterion, "label_free"]
"""Scores by which an epoch can be selected; "label_free" needs no annotations."""

Precision = Literal["auto", "float32", "bfloat16"]
"""Types of the activations in training; `unet.step.activation_type` chooses."""

Schedule = Literal["constant", "one_cycle"]
"""Courses of the learning rate; `unet.step.make_schedule` computes them."""

_Fraction = Annotated[float, Field(ge=0, le=1)]


class Architecture(NamedTuple):
    """Settings that determine the shapes of the network's weights.

    Attributes
    ----------
    channels : number of features at each level, finest first
    outputs : number of logits per pixel
    block_px : edge of the pixel blocks that form one pixel of the finest level

    Examples
    --------
    >>> architecture = Architecture(channels=(8, 16, 32), outputs=1, block_px=2)
    >>> architecture.coarsest_px, architecture.reach_px
    (8, 48)
    """

    channels: tuple[int, ...]
    outputs: int
    block_px: int

    @property
    def coarsest_px(self) -> int:
        """Edge of a pixel of the coarsest level, in image pixels."""
        return self.block_px * 2 ** (len(self.channels) - 1)

    @property
    def reach_px(self) -> int:
        """Radius of the receptive field of a logit, in px, rounded up to the coarsest pixel.

        Two 3 x 3 convolutions reach 2 pixels of their level in the encoder and again in the
        decoder; the position within a coarsest pixel adds up to one of these.
        """
        finest, coarsest = self.block_px, self.coarsest_px
        reach = 4 * (coarsest - finest) + 2 * coarsest + coarsest - 1
        return -(-reach // coarsest) * coarsest


class Augmentation(Settings):
    """Random changes of the training patches; the neutral value switches a change off."""

    candidates: PositiveInt = 3
    """Positions drawn for each patch; the one with the largest foreground area is used."""
    zoom: Annotated[float, Field(ge=1, le=4)] = 1.25
    """Largest magnification of a patch, and the largest reduction."""
    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 45.0
    """Largest rotation in degrees, in addition to a random multiple of 90 degrees."""
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Largest relative change of the contrast."""
    offset: NonNegativeFloat = 0.1
    """Largest shift of the gray level, as a fraction of white."""
    gamma: Annotated[float, Field(ge=1)] = 1.3
    """Largest exponent of the gray level, and the reciprocal of the smallest."""
    noise: NonNegativeFloat = 0.08
    """Largest standard deviation of the noise, as a fraction of white."""
    blur: _Fraction = 1.0
    """Largest weight of the blurred patch: a 3 x 3 binomial filter, applied twice."""


class TrainSettings(Settings):
    """All settings of a training except the images."""

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=2)]
    """Number of features at each level of the U-Net, finest first."""
    block_px: Literal[1, 2] = 1
    """Edge of the pixel blocks that form one pixel of the finest level, in px."""
    targets: Annotated[tuple[TargetName, ...], Field(min_length=1)]
    """Outputs of the network, in order; must contain "foreground"."""
    erosion_px: NonNegativeFloat = 0.0
    """Erosion of the particles before targets are computed, which separates them, in px."""
    border_px: NonNegativeFloat = 2.0
    """Width of the boundary target and of the margin excluded from interiors, in px."""
    patch_px: Annotated[int, Field(ge=1, le=8192)]
    """Edge of the training patches, in px; a multiple of the coarsest pixel."""
    batch: Annotated[int, Field(ge=1, le=65536)]
    """Patches per step."""
    steps_per_epoch: PositiveInt
    """Steps per epoch."""
    epochs: PositiveInt
    """Number of epochs."""
    learning_rate: PositiveFloat
    """Peak learning rate of Adam."""
    schedule: Schedule
    """Course of the learning rate: constant, or one cycle (Smith and Topin, 2019)."""
    averaging: Annotated[float, Field(ge=0, lt=1)]
    """Decay of the moving average of the weights, which becomes the model; 0 for no averaging."""
    precision: Precision = "auto"
    """Type of the activations; auto is bfloat16 on GPUs and float32 elsewhere."""
    border_weight: NonNegativeFloat = 0.0
    """Additional weight in the loss of pixels where two particles touch."""
    annotated_share: _Fraction = 0.25
    """Fraction of the patches from annotated micrographs, where some are mixed in."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.51
    """Probability from which a validation pixel is classified as particle."""
    keep_every: PositiveInt = 1
    """Interval in epochs at which weights are kept; those of the last epoch always are."""
    validate_every: PositiveInt = 1
    """Interval in epochs at which the validation images are predicted."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the initial weights and of all patches."""
    augmentation: Augmentation = Augmentation()
    """Random changes of the training patches."""

    @model_validator(mode="after")
    def _check_consistency(self) -> "TrainSettings":
        coarsest_px = self.architecture.coarsest_px
        if self.patch_px % coarsest_px:
            raise ValueError(
                f"patch_px (={self.patch_px}) must be a multiple of {coarsest_px}, "
                f"the coarsest pixel of {len(self.channels)} levels"
            )
        if len(set(self.targets)) < len(self.targets):
            raise ValueError(f"targets (={', '.join(self.targets)}) must not repeat a name")
        if "foreground" not in self.targets:
            raise ValueError(f"targets (={', '.join(self.targets)}) must contain 'foreground'")
        return self

    @property
    def architecture(self) -> Architecture:
        """Settings that determine the shapes of the weights."""
        return Architecture(self.channels, len(self.targets), self.block_px)

    @property
    def steps(self) -> int:
        """Number of steps of the whole training."""
        return self.steps_per_epoch * self.epochs


PAPER = TrainSettings(
    channels=(64, 128, 256, 512, 1024),
    targets=("foreground",),
    erosion_px=2.0,
    patch_px=400,
    batch=2,
    steps_per_epoch=150,
    epochs=500,
    learning_rate=1e-3,
    schedule="constant",
    averaging=0.0,
    keep_every=25,
    augmentation=Augmentation(candidates=1, rotation_deg=0.0, gamma=1.0, blur=0.0),
)

# Measured on 90 synthetic TiO2 images of 512 px, one seed each, in seconds of CPU:
#   8 channels at full resolution, 360 steps of 8 patches, peak 3e-3: 213 s, foreground loss 0.174
#   24 channels on blocks of 2 px, 300 steps of 4 patches, peak 3e-3: 88 s, 0.086, object F1 on the
#   five real images 0.13; with a peak of 1.2e-2: 90 s, 0.093 but less on boundaries, 0.10
#   the same, the fullest of three positions of each patch, peak 6e-3: 78 s, object F1 0.78
CPU = TrainSettings(
    channels=(24, 48, 96, 192),
    block_px=2,
    targets=("foreground", "interior", "boundary", "distance"),
    patch_px=192,
    batch=4,
    steps_per_epoch=400,
    epochs=9,
    learning_rate=1e-2,
    schedule="one_cycle",
    averaging=0.98,
    border_weight=2.0,
)

# One network for particles of every kind, for datasets of randomized recipes, with one more level
# of context. On an H100, a step takes 6 ms. The patches are so diverse that the steps must be
# small: at a peak of 6e-3 the foreground loss of a smaller network was 0.56 after 2,000 steps, and
# the averaged weights were worse. That network ended at 0.31 after 10,000 steps of 4 patches of
# 192 px, and at an object F1 of 0.65 on EMPS; this one at 0.13 and 0.83.
GENERAL = CPU.model_copy(
    update={
        "channels": (24, 48, 112, 256, 384),
        "patch_px": 256,
        "batch": 16,
        "steps_per_epoch": 2000,
        "epochs": 24,
        "learning_rate": 2e-3,
        "averaging": 0.999,
        "keep_every": 4,
        "augmentation": Augmentation(candidates=2, zoom=1.5),
    }
)

PRESETS = {
    "paper": PAPER,
    # The baseline of the paper: the same network, trained on annotated micrographs for longer than
    # it takes to memorize them; the epoch is then selected by the error on the one left out.
    "real": PAPER.model_copy(update={"epochs": 300, "keep_every": 10}),
    "cpu": CPU,
    "gpu": CPU.model_copy(
        update={
            "channels": (32, 64, 128, 256, 512),
            "block_px": 1,
            "patch_px": 256,
            "batch": 16,
            "steps_per_epoch": 250,
            "epochs": 60,
            "learning_rate": 3e-3,
            "averaging": 0.995,
        }
    ),
    "general": GENERAL,
    "tune": GENERAL.model_copy(
        update={
            "patch_px": 224,
            "batch": 4,
            "steps_per_epoch": 400,
            "epochs": 10,
            "learning_rate": 4e-4,
            "averaging": 0.998,
            "keep_every": 1,
        }
    ),
    # Two minutes of two cores. With 200 steps on images of the recipe tio2, the object F1 on five
    # TiO2 micrographs went from 0.817 to 0.808 at a peak of 4e-4, and to 0.828 at 1e-3; with 800
    # steps at 1e-3, to 0.850.
    "adapt": GENERAL.model_copy(
        update={
            "patch_px": 224,
            "batch": 4,
            "steps_per_epoch": 250,
            "epochs": 1,
            "learning_rate": 1e-3,
            "averaging": 0.98,
        }
    ),
    "demo": CPU.model_copy(
        update={"channels": (24, 48, 96), "patch_px": 160, "steps_per_epoch": 200, "epochs": 4}
    ),
}


def preset(name_or_path: str) -> TrainSettings:
    """Look up a preset, or read training settings from a TOML file.

    Parameters
    ----------
    name_or_path : key of `PRESETS`, or path of a file whose name ends in ".toml"

    Returns
    -------
    settings : the training settings

    Raises
    ------
    InputError
        If the preset is unknown, or the file does not contain valid training settings.

    Examples
    --------
    >>> preset("cpu").targets
    ('foreground', 'interior', 'boundary', 'distance')
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    if name_or_path.endswith(".toml"):
        return TrainSettings.read(Path(name_or_path))
    raise InputError(
        f"preset '{name_or_path}' is unknown; choose one of {', '.join(PRESETS)}, or give a .toml "
        "file of training settings"
    )
