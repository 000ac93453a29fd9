"""Rules for particles cut by the frame of an image.

This module loads no library, so that the command line can list the rules at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple


class FrameRule(NamedTuple):
    """A rule for particles cut by the frame.

    Attributes
    ----------
    weights : particle table and `FieldOfView` of an image to the weights of its particles (one
        weight or one per particle, 0 to leave it out)
    description : what the rule does, for the report
    columns : of the particle table that `weights` uses
    """

    weights: Callable[[Any, Any], Any]
    description: str
    columns: tuple[str, ...] = ()


def _keep(table: Any, field: Any) -> float:
    """Count every particle once."""
    return 1.0


def _drop(table: Any, field: Any) -> Any:
    """Leave out particles cut by the frame; large ones are cut more often."""
    return ~table["touches_frame"].to_numpy(bool)


def _miles_lantuejoul(table: Any, field: Any) -> Any:
    """Weight whole particles by W H / ((W - w) (H - h)).

    This is the inverse probability that a particle of width w and height h lies entirely within a
    frame of width W and height H: Miles, in "Stochastic Geometry" (1974), 228; Lantuejoul,
    Mikroskopie 37 (1980) 266; as in ISO 13322-1.
    """
    whole = ~table["touches_frame"].to_numpy(bool)
    width = field.width_px - whole * table["bbox_width_px"].to_numpy()
    height = field.height_px - whole * table["bbox_height_px"].to_numpy()
    return whole * (field.width_px * field.height_px / (width * height))


# To add a rule, write its function and add a line.
FRAME_RULES = {
    "keep": FrameRule(_keep, "particles cut by the frame are counted with their visible size"),
    "drop": FrameRule(_drop, "particles cut by the frame are left out", ("touches_frame",)),
    "miles_lantuejoul": FrameRule(
        _miles_lantuejoul,
        "particles cut by the frame are left out, and the others weighted by the inverse "
        "probability of lying entirely within it (Miles and Lantuéjoul, ISO 13322-1)",
        ("touches_frame", "bbox_width_px", "bbox_height_px"),
    ),
}

if TYPE_CHECKING:  # type checkers know only literals that are written out
    FrameRuleName = str
else:
    FrameRuleName = Literal[*FRAME_RULES]
