"""Tables generated from the registries of the program.

In Markdown:

    ```{registry} measurements
    ```
"""

import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Callable, Iterator

from docutils import nodes
from results_tables import Row, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import nanorender
import unet
from nanorender.measuring.measure import column_descriptions
from nanorender.measuring.sizes import SIZE_QUANTITIES
from nanorender.outputs import OUTPUTS
from nanorender.recipe import read_recipe
from nanorender.recipes import preset_names
from nanorender.scenes.placement import PLACEMENTS
from nanorender.scenes.shapes import BUILT_IN
from nanorender.statistics.bootstrap import STATISTICS
from nanorender.statistics.frame import FRAME_RULES
from unet.presets import PRESETS

USES = {
    "cpu": "default, on a CPU",
    "gpu": "on a GPU",
    "general": "particles of any size, on datasets of a randomized recipe and a GPU",
    "tune": "a start from the general model (`--initial general`), on a CPU or a GPU",
    "adapt": "`nanorender adapt`, from the general model on twins of micrographs",
    "demo": "`nanorender demo`",
    "paper": "the network of the paper",
    "real": "`nanorender baseline`, on annotated micrographs",
}


def _summary(item: object) -> str:
    """Return the first paragraph of a docstring, without a leading verb."""
    text = " ".join((inspect.getdoc(item) or "").partition("\n\n")[0].split())
    text = re.sub(r"^(Return|Compute|Measure) (the )?", "", text)
    return text[:1].upper() + text[1:]


def measurements() -> Iterator[Row]:
    """Columns of the particle table."""
    yield "column", "definition"
    for name, description in column_descriptions(1.0).items():
        yield f"`{name}`", description


def sizes() -> Iterator[Row]:
    """Choices of the size of a particle."""
    yield "`--size`", "quantity"
    for name, quantity in SIZE_QUANTITIES.items():
        yield f"`{name}`", quantity


def statistics() -> Iterator[Row]:
    """Statistics of the sizes."""
    yield "name", "title in the report", "definition"
    for name, statistic in STATISTICS.items():
        yield f"`{name}`", statistic.title, statistic.definition


def frame_rules() -> Iterator[Row]:
    """Rules for particles cut by the frame."""
    yield "`--frame`", "rule"
    for name, rule in FRAME_RULES.items():
        yield f"`{name}`", rule.description


def outputs() -> Iterator[Row]:
    """Further files of a sample."""
    yield "output", "value of a pixel"
    for name, output in OUTPUTS.items():
        yield f"`{name}`", output.meaning


def recipes() -> Iterator[Row]:
    """Presets of recipes."""
    yield "preset", "sample", "templates", "materials"
    for name in preset_names():
        recipe = read_recipe(name)
        used = dict.fromkeys(each for kind in recipe.particles for each in kind.templates)
        shown = [each for each in used if not each.startswith("grain_")]
        shown += ["ten grains"] if len(shown) < len(used) else []
        kinds = dict.fromkeys(material.kind for material in recipe.materials.values())
        yield f"`{name}`", recipe.description, ", ".join(shown), ", ".join(kinds)


def templates() -> Iterator[Row]:
    """Built-in templates."""
    yield "template", "shape"
    by_shape: dict[str, list[str]] = defaultdict(list)
    for name, template in BUILT_IN.items():
        by_shape[template.description].append(f"`{name}`")
    for shape, names in by_shape.items():
        yield names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}", shape


def placements() -> Iterator[Row]:
    """Kinds of placement."""
    yield "`kind`", "placement"
    for kind in PLACEMENTS:
        yield f"`{kind.model_fields['kind'].default}`", _summary(kind)


def training() -> Iterator[Row]:
    """Training presets."""
    yield "preset", "for", "channels", "targets", "steps of patches"
    for name, preset in PRESETS.items():
        steps = f"{preset.steps:,} of {preset.batch} x {preset.patch_px} px"
        channels = ", ".join(map(str, preset.channels))
        blocks = f"{channels} on blocks of 2 px" if preset.block_px == 2 else channels
        yield f"`{name}`", USES[name], blocks, ", ".join(preset.targets), steps


def packages() -> Iterator[Row]:
    """Yield packages and modules at the root with the summaries of their docstrings."""
    yield "package or module", "content"
    for root in (nanorender, unet):
        found = pkgutil.iter_modules(root.__path__, f"{root.__name__}.")
        for module in sorted(found, key=lambda module: (not module.ispkg, module.name)):
            yield f"`{module.name}`", _summary(importlib.import_module(module.name))


REGISTRIES: dict[str, Callable[[], Iterator[Row]]] = {
    function.__name__: function
    for function in (
        measurements,
        sizes,
        statistics,
        frame_rules,
        outputs,
        recipes,
        templates,
        placements,
        training,
        packages,
    )
}


class RegistryDirective(SphinxDirective):
    """A table of a registry."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        return [table(list(REGISTRIES[self.arguments[0]]()))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("registry", RegistryDirective)
    return {"parallel_read_safe": True}
