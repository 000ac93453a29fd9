"""Training settings and the presets: each preset is a few fields that differ."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from nanorender.errors import InputError
from nanorender.settings import Settings

TargetName = Literal["foreground", "interior", "boundary", "distance"]
_Fraction = Annotated[float, Field(ge=0, le=1)]


class Architecture(NamedTuple):
    """What decides the shapes of the network's weights.

    Attributes
    ----------
    channels: features of each level, finest first
    outputs: logits of a pixel
    block_px: edge of the squares of pixels that the finest level takes as one
    """

    channels: tuple[int, ...]
    outputs: int
    block_px: int

    @property
    def coarsest_px(self) -> int:
        """Return the edge of a pixel of the coarsest level, in pixels of the image."""
        return self.block_px * 2 ** (len(self.channels) - 1)

    @property
    def reach_px(self) -> int:
        """Return how far from a pixel, in any direction, its logits look.

        Two 3 x 3 convolutions reach 2 pixels of their level, on the way down and on the way up; the
        grid of the coarsest pixels adds up to one of them. Rounded up to the coarsest pixel.
        """
        finest, coarsest = self.block_px, self.coarsest_px
        reach = 4 * (coarsest - finest) + 2 * coarsest + coarsest - 1
        return -(-reach // coarsest) * coarsest


class Augmentation(Settings):
    """How far each training patch is changed; 0 switches a change off.

    Attributes
    ----------
    candidates: places drawn for each patch, of which that with most particles is taken
    zoom: largest factor by which a patch is enlarged or reduced
    rotation_deg: largest rotation, on top of one of the four quarter turns
    gain, offset: largest relative change of contrast, largest shift of the gray level
    gamma: largest factor of the exponent of the gray level
    noise: largest standard deviation of the noise, as a fraction of white
    blur: largest weight of the patch blurred by a 3 x 3 binomial filter, applied twice
    """

    candidates: PositiveInt = 3
    zoom: Annotated[float, Field(ge=1, le=4)] = 1.25
    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 45.0
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.3
    offset: NonNegativeFloat = 0.1
    gamma: Annotated[float, Field(ge=1)] = 1.3
    noise: NonNegativeFloat = 0.08
    blur: _Fraction = 1.0


class TrainSettings(Settings):
    """Everything that decides what is trained, apart from the images.

    Attributes
    ----------
    channels: features of each level of the U-Net, finest first
    block_px: edge of the squares of pixels that the finest level takes as one
    targets: what the outputs of the network mean (see `unet.data.targets`)
    erosion_px: pixels that particles are shrunk by before targets are made, which parts them
    border_px: pixels along its boundary that an interior is short of, and width of a boundary
    patch_px: edge of the training patches, a multiple of the coarsest pixel
    batch, steps_per_epoch, epochs: patches a step, steps an epoch, epochs
    learning_rate, schedule: Adam's peak step, constant or one cycle (Smith and Topin, 2019)
    averaging: decay of the moving average of the weights that is kept as the model; 0 for none
    border_weight: extra weight in the loss where two particles touch
    annotated_share: of the patches, from annotated micrographs where some are mixed in
    threshold: probability from which a pixel counts as particle
    keep_every: weights are kept of every so-many-th epoch, and of the last
    validate_every: epochs between predictions of the validation images
    seed: of the first weights and of all patches
    """

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=2)]
    block_px: Literal[1, 2] = 1
    targets: Annotated[tuple[TargetName, ...], Field(min_length=1)]
    erosion_px: NonNegativeFloat = 0.0
    border_px: NonNegativeFloat = 2.0
    patch_px: Annotated[int, Field(ge=1, le=8192)]
    batch: Annotated[int, Field(ge=1, le=65536)]
    steps_per_epoch: PositiveInt
    epochs: PositiveInt
    learning_rate: PositiveFloat
    schedule: Literal["constant", "one_cycle"]
    averaging: Annotated[float, Field(ge=0, lt=1)]
    border_weight: NonNegativeFloat = 0.0
    annotated_share: _Fraction = 0.25
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.51
    keep_every: PositiveInt = 1
    validate_every: PositiveInt = 1
    seed: Annotated[int, Field(ge=0)] = 0
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _fitting(self) -> "TrainSettings":
        coarsest_px = self.architecture.coarsest_px
        if self.patch_px % coarsest_px:
            raise ValueError(
                f"patch_px (={self.patch_px}) must be a multiple of {coarsest_px}, "
                f"the coarsest pixel of {len(self.channels)} levels"
            )
        if len(set(self.targets)) < len(self.targets):
            raise ValueError(f"targets (={', '.join(self.targets)}) must not repeat a name")
        if "foreground" not in self.targets:
            raise ValueError(f"targets (={', '.join(self.targets)}) must hold 'foreground'")
        return self

    @property
    def architecture(self) -> Architecture:
        """Shapes of the network."""
        return Architecture(self.channels, len(self.targets), self.block_px)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
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

# The baseline of the paper: the same network, trained on annotated micrographs for longer than it
# takes to learn them by heart; the epoch is then chosen by the error on the one left out.
REAL = PAPER.model_copy(update={"epochs": 300, "keep_every": 10})

# Measured on 90 synthetic TiO2 images of 512 px, one seed each, in seconds of CPU:
#   8 channels at full resolution, 360 steps of 8 patches, peak 3e-3: 213 s, foreground loss 0.174
#   24 channels on blocks of 2 px, 300 steps of 4 patches, peak 3e-3: 88 s, 0.086, object F1 on the
#   five real images 0.13; with a peak of 1.2e-2: 90 s, 0.093 but less on boundaries, 0.10
#   the same, the fullest of three places for each patch, peak 6e-3: 78 s, object F1 0.78
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

DEMO = CPU.model_copy(
    update={"channels": (24, 48, 96), "patch_px": 160, "steps_per_epoch": 200, "epochs": 4}
)

GPU = CPU.model_copy(
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
)

PRESETS = {"paper": PAPER, "real": REAL, "cpu": CPU, "gpu": GPU, "demo": DEMO}


def preset(name_or_path: str) -> TrainSettings:
    """Return the preset of this name, or the settings in a TOML file.

    Raises
    ------
    InputError
        If there is none, or the file does not hold training settings.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    if name_or_path.endswith(".toml"):
        return TrainSettings.read(Path(name_or_path))
    raise InputError(
        f"preset '{name_or_path}' is unknown; choose one of {', '.join(PRESETS)}, or give a .toml "
        "file of training settings"
    )
