import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import nanorender

ROOT = Path(__file__).parents[1]


def test_reading_a_dataset_does_not_load_numba():
    modules = "nanorender.files.dataset, nanorender.files.micrograph"
    code = f"import sys, {modules}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_namespace_loads_nothing_before_it_is_used():
    code = (
        "import sys, nanorender; known = set(sys.modules); dir(nanorender); "
        "print([name for name in ('numpy', 'numba', 'jax', 'pandas', 'unet') if name in known])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_types_of_the_namespace_are_those_of_its_names():
    stub = ast.parse((ROOT / "nanorender" / "__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    stated = {each.names[0].name: each.module for each in imports}
    assert stated == nanorender._HOMES
    assert set(stated) < set(dir(nanorender))


@pytest.mark.parametrize("name", sorted(nanorender._HOMES))
def test_names_of_the_namespace_exist_and_hide_no_module(name):
    assert getattr(nanorender, name) is getattr(import_module(nanorender._HOMES[name]), name)
    assert not (ROOT / "nanorender" / f"{name}.py").exists()
    assert not (ROOT / "nanorender" / name).exists()


def test_other_names_of_the_namespace_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'segment_images'"):
        nanorender.segment_images  # noqa: B018
