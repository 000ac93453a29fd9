"""The summary of a study in words: key figures, how each was obtained, and the size plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanorender.analysis.figures import SizeDistribution
from nanorender.analysis.page import KeyFigure


@dataclass(frozen=True)
class Findings:
    """What a report says about the whole sample.

    Attributes
    ----------
    notes: remarks that belong above the figures, such as an unknown pixel size
    interval: what the intervals are
    key_figures: the figures of the summary
    sizes: what the size plots show
    captions: (description, caption) of each plot by the name of its file
    record: everything of the summary, for summary.json
    """

    notes: Sequence[str]
    interval: str
    key_figures: Sequence[KeyFigure]
    sizes: SizeDistribution
    captions: Mapping[str, tuple[str, str]]
    record: Mapping[str, object]
