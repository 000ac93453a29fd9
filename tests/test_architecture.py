import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_reading_a_dataset_does_not_load_numba():
    modules = "nanorender.files.dataset, nanorender.files.micrograph"
    code = f"import sys, {modules}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
