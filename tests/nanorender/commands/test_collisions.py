"""No command writes over what it reads; the tests go over all commands of the program."""

import inspect
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydantic import validate_call

import cli
from nanorender.commands.collisions import (
    Reads,
    WritesFile,
    WritesFolder,
    parameter_roles,
)
from nanorender.errors import InputError
from nanorender.files.tiff import write_image, write_labels

OTHER_TEXTS = {
    "coordinator",
    "crop",
    "device",
    "layout",
    "name",
    "outputs",
    "process",
    "samples",
    "scheduler",
    "shard",
    "title",
}
"""Parameters of type str that name no file."""

COMMANDS = {
    command.callback.__name__: command.callback
    for group in (cli.app, *(each.typer_instance for each in cli.app.registered_groups))
    for command in group.registered_commands
}


def parameters(name):
    return inspect.signature(COMMANDS[name]).parameters.values()


def takes_text(parameter):
    """Tell whether a parameter takes a path or any text, alone or in a list."""
    kind = parameter.annotation
    kinds, found = [kind], set()
    while kinds:
        kind = kinds.pop()
        found.add(kind)
        kinds += [part for part in get_args(kind) if part not in found and isinstance(part, type)]
        kinds += [part for part in get_args(kind) if get_args(part) and part not in found]
    return bool(found & {str, Path})


PAIRS = [
    (name, one.name, other.name)
    for name in COMMANDS
    for one in parameters(name)
    for other in parameters(name)
    if one != other
    and any(isinstance(role, Reads) for role in parameter_roles(one))
    and any(isinstance(role, WritesFile | WritesFolder) for role in parameter_roles(other))
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_declares_what_it_reads_and_writes(name):
    assert getattr(COMMANDS[name], "refuses_collisions", False), "add @refuse_collisions"
    undeclared = {
        each.name
        for each in parameters(name)
        if takes_text(each) and not parameter_roles(each) and each.name not in OTHER_TEXTS
    }
    assert undeclared == set(), "annotate with Reads, WritesFile or WritesFolder"


def test_the_commands_with_inputs_and_outputs_are_covered():
    assert {name for name, *_ in PAIRS} >= {
        *("run", "compare", "reproduce", "preview", "generate", "export", "calibrate", "train"),
        *("select", "baseline", "fit_confidence", "segment", "measure", "report", "evaluate"),
    }


def call(name, tmp_path, **given):
    """Call a command with new names for all other required parameters."""
    for each in parameters(name):
        if each.default is inspect.Parameter.empty and each.name not in given:
            given[each.name] = tmp_path / f"other {each.name}"
    listed = {each.name for each in parameters(name) if "list[" in str(each.annotation)}
    return COMMANDS[name](
        **{key: [value] if key in listed else value for key, value in given.items()}
    )


@pytest.mark.parametrize(("name", "one", "other"), PAIRS)
def test_a_command_refuses_an_output_that_is_an_input(name, one, other, tmp_path):
    roles = parameter_roles(inspect.signature(COMMANDS[name]).parameters[other])
    (folder := tmp_path / "input").mkdir()
    file = folder / "a.tif"
    file.write_bytes(b"content")
    (tmp_path / "link").symlink_to(folder)
    indirect = tmp_path / "link" / ".." / "input"
    if any(isinstance(role, WritesFile) for role in roles):
        outputs = [file, indirect / "a.tif"]
    else:
        outputs = [folder, tmp_path / "link", indirect]
    takes_folders = any(
        role == Reads()
        for role in parameter_roles(inspect.signature(COMMANDS[name]).parameters[one])
    )
    for read in (file, folder) if takes_folders else (file,):
        for out in outputs:
            with pytest.raises(InputError, match=r"input|replaced") as refused:
                call(name, tmp_path, **{one: read, other: out})
            assert "; give a" in str(refused.value)
    assert file.read_bytes() == b"content"
    assert {path.name for path in tmp_path.iterdir()} == {"input", "link"}
    assert [path.name for path in folder.iterdir()] == ["a.tif"]


@pytest.fixture
def micrographs(tmp_path):
    """A folder of one micrograph."""
    (tmp_path / "loss").mkdir()
    write_image(tmp_path / "loss" / "a.tif", np.zeros((9, 9), np.uint8), 2.0)
    return tmp_path / "loss"


def test_label_maps_do_not_replace_micrographs_that_links_lead_to(micrographs, tmp_path):
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "a.tif").symlink_to(micrographs / "a.tif")
    (tmp_path / "chosen" / "loop.tif").symlink_to("loop.tif")
    with pytest.raises(InputError, match="links to"):
        cli.segment(tmp_path / "chosen", micrographs)


def test_a_model_file_or_recipe_is_not_an_output(micrographs, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"weights")
    for command in (cli.segment, cli.run):
        with pytest.raises(InputError, match="is an input file"):
            command(micrographs, model, model)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("")
    with pytest.raises(InputError, match="contains the input"):
        cli.generate(str(recipe), tmp_path)


def test_nothing_is_written_into_the_samples_of_a_dataset(micrographs, tmp_path):
    for name in ("images", "labels"):
        (tmp_path / "dataset" / name).mkdir(parents=True)
    (tmp_path / "dataset" / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="lies in the dataset"):
        cli.segment(tmp_path / "dataset" / "images", tmp_path / "dataset" / "labels")
    with pytest.raises(InputError, match="lies in the dataset"):
        cli.report(micrographs, tmp_path / "dataset" / "labels" / "report")
    with pytest.raises(InputError, match=r"lies in the input folder .* and would be replaced"):
        cli.compare(micrographs, tmp_path / "dataset", tmp_path / "dataset" / "dataset.json")


def test_a_report_does_not_delete_label_maps_in_it(tmp_path):
    labels = tmp_path / "out" / "figures"
    labels.mkdir(parents=True)
    write_labels(labels / "a.tif", np.ones((9, 9), np.int32), 2.0)
    with pytest.raises(InputError, match="would be replaced with the input"):
        cli.report(labels, tmp_path / "out")


def test_two_outputs_of_one_name_are_refused(micrographs, tmp_path):
    with pytest.raises(InputError, match="--embedding and --worst would both write"):
        cli.compare(micrographs, micrographs, tmp_path / "a.png", tmp_path / "a.png")


def test_a_preset_may_have_the_name_of_the_output_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tio2").mkdir()
    with pytest.raises(InputError, match="shard"):
        cli.generate("tio2", Path("tio2"), shard="0/0")


def test_a_study_may_use_the_network_trained_in_it(micrographs, tmp_path):
    (tmp_path / "study" / "run").mkdir(parents=True)
    with pytest.raises(InputError, match="model"):
        cli.run(micrographs, tmp_path / "study", tmp_path / "study" / "run")
    (tmp_path / "study" / "labels").mkdir()
    with pytest.raises(InputError, match="is also an input"):
        cli.run(tmp_path / "study" / "labels", tmp_path / "study", recipe="tio2")


def test_tables_may_be_written_again_beside_label_maps(tmp_path):
    write_labels(tmp_path / "a.tif", np.ones((9, 9), np.int32), 2.0)
    for _ in range(2):
        cli.measure(tmp_path, tmp_path / "particles.csv", 1)
    assert (tmp_path / "particles.csv").is_file()


def test_annotations_of_commands_are_valid_for_the_reproduction(tmp_path):
    with pytest.raises(InputError, match="is also an input"):
        validate_call(cli.segment)(micrographs=str(tmp_path), out=str(tmp_path))
