import signal
import subprocess
import sys
import textwrap
import time

import pytest

from nanorender.execution.interruptible import interruptible

CROWD = """
description = "300,000 rods on 1.2 um"
field_nm = 1200.0
particle_count = 300000

[camera]
image_px = 100
render_px = 100
pixel_size_nm = 2.0

[placement]
kind = "scattered"

[[particles]]
templates = ["rod"]
diameter_nm = 50.0
length_nm = 260.0
orientation = "lying"
material = "silver"

[materials.silver]
kind = "diffuse"
"""
SETUP = """
import signal, threading, time
from nanorender.execution.interruptible import interruptible

def interrupt():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

"""
IN_THE_MIDDLE_S = 8.0
SERVED_WITHIN_S = 10.0  # 2 s on a machine without other work

ENDED_WITHIN_S = 60.0


def python(script: str) -> list[str]:
    """Return what a script prints in a process of its own, which no other test has touched."""
    done = subprocess.run(
        [sys.executable, "-c", SETUP + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_function_returns_and_raises_as_it_is():
    assert interruptible(divmod)(7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        interruptible(divmod)(7, 0)


def test_an_interrupt_is_served_before_the_function_ends():
    assert python(
        """
        def work():
            time.sleep(1000)

        threading.Timer(0.3, interrupt).start()
        try:
            interruptible(work)()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    ) == ["interrupted"]


def test_a_function_that_was_left_ends_at_its_next_step():
    assert python(
        """
        started, ended = threading.Event(), threading.Event()

        def work():
            started.set()
            try:
                while True:
                    time.sleep(0.01)
            finally:
                ended.set()

        threading.Thread(target=lambda: started.wait() and interrupt()).start()
        try:
            interruptible(work)()
        except KeyboardInterrupt:
            print("interrupted", ended.wait(), flush=True)
        """
    ) == ["interrupted True"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["preview", "generate"])
def test_signals_are_served_in_the_middle_of_a_crowded_scene(tmp_path, command, number):
    (tmp_path / "crowd.toml").write_text(CROWD)
    out = tmp_path / ("out.png" if command == "preview" else "out")
    arguments = (command, tmp_path / "crowd.toml", "-n", 1, "-o", out)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *map(str, arguments)], stderr=subprocess.PIPE, text=True
    )
    try:
        time.sleep(IN_THE_MIDDLE_S)
        assert process.poll() is None, process.stderr.read()
        process.send_signal(number)
        error = process.communicate(timeout=SERVED_WITHIN_S)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert error.rstrip().endswith("nanorender: interrupted; run the command again to resume")
    assert not out.exists()
