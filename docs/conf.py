"""Configuration of the documentation."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parents[1])]

project = "nanorender"
copyright = "the nanorender contributors"
release = version = installed("nanorender")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpy_sections",
    "api_reference",
    "commands_reference",
    "registry_tables",
    "results_tables",
    "settings_reference",
]
exclude_patterns = ["_build", "results"]
myst_enable_extensions = ["attrs_block", "colon_fence"]
myst_heading_anchors = 3

smartquotes = False  # options begin with two hyphens
default_role = "code"  # docstrings have names between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
nitpick_ignore_regex = [("py:.*", r".*")]  # annotations name types of other packages

html_theme = "furo"
html_title = f"nanorender {release}"
html_static_path = ["_static"]
html_css_files = ["nanorender.css"]
html_copy_source = False
html_show_sourcelink = False
