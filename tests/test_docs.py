"""The README and the pages of the documentation agree with the program."""

import doctest
import inspect
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer.main

import cli
from nanorender.separation.separate import Separation

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INDENTED = re.compile(r"^ {4}(?:\$ )?(nanorender .*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def fenced(page: str, language: str) -> list[str]:
    """Return the code blocks of a language in a page."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^ *```{language}\n(.*?)```", text, re.DOTALL | re.MULTILINE)


def command_lines() -> list[tuple[str, str]]:
    """Return the page and text of every command line in the documentation."""
    found = [("README.md", line) for line in INDENTED.findall(PAGES[0].read_text())]
    for path in PAGES[1:]:
        lines = "".join(fenced(path.name, "sh")).splitlines()
        found += [(path.name, line.strip()) for line in lines if "nanorender" in line]
    for group in (cli.app, *(each.typer_instance for each in cli.app.registered_groups)):
        for command in group.registered_commands:
            help_text = inspect.getdoc(command.callback)
            found.append((command.callback.__name__, help_text.partition("Example:")[2].strip()))
    return found


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_line_parses(page, line):
    program, name, *arguments = shlex.split(re.split(" #| > ", line)[0])
    assert program.endswith("nanorender")
    command = typer.main.get_command(cli.app).commands[name]
    command.make_context(name, arguments)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_relative_links_exist(path):
    for target in LINK.findall(path.read_text()):
        if not target.startswith("_generated"):
            assert (path.parent / target).exists(), target


def test_readme_names_every_command_and_is_short():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 200
    for name in typer.main.get_command(cli.app).commands:
        assert f"nanorender {name}" in readme


def test_separation_file_is_valid():
    (text,) = fenced("quickstart.md", "toml")
    assert Separation.model_validate(tomllib.loads(text)).markers == "distance"


@pytest.mark.parametrize("page", ["../README.md", "quickstart.md"])
def test_python_examples_run(page):
    examples = doctest.DocTestParser().get_doctest(
        "".join(fenced(page, "python")), {}, page, page, 0
    )
    assert len(examples.examples) >= 6
    assert doctest.DocTestRunner().run(examples).failed == 0


def test_measurement_example_runs():
    (text,) = fenced("measure.md", "python")
    labels = np.zeros((9, 9), np.int32)
    labels[2:5, 2:8] = 1
    names = {"labels": labels, "pixel_size_nm": 1.0, "image": None}
    exec(text, names)
    assert names["table"]["extent"].tolist() == [1.0]


@pytest.mark.parametrize("diff", fenced("contributing.md", "diff"), ids=lambda diff: diff[11:60])
def test_walk_through_applies(diff):
    done = subprocess.run(
        ["git", "apply", "--check", "-"],
        input=diff, cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert not done.returncode, f"update the diff in docs/contributing.md: {done.stderr}"
