import subprocess
import sys

import pytest

from nanorender.execution.memory import keep_freed_memory

FAULTS = """
import resource, sys, threading
from nanorender.execution.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    thread = threading.Thread(target=lambda: bytearray(b"x") * 2**26)
    thread.start()
    thread.join()
use()
before = faults()
for _ in range(5):
    use()
print(faults() - before)
"""


def page_faults(how):
    ran = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an option of the GNU C library")
def test_memory_that_was_freed_is_not_asked_for_again():
    if page_faults("free") < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert page_faults("keep") < 100


def test_other_systems_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("ctypes.CDLL", None)  # which would raise
    keep_freed_memory()
