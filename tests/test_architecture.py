import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_reading_a_dataset_does_not_load_numba():
    modules = "nanorender.files.dataset, nanorender.files.micrograph"
    code = f"import sys, {modules}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_module_is_longer_than_a_reader_can_hold():
    files = [*ROOT.glob("nanorender/**/*.py"), *ROOT.glob("unet/**/*.py"), ROOT / "cli.py"]
    long = {path.name: len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}
