import multiprocessing
import os
import subprocess
import sys
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from nanorender.errors import InputError
from nanorender.execution import workers as processes
from nanorender.execution.workers import run_tasks


def touch(folder, task):
    (folder / str(task)).write_text(str(os.getpid()))


def killed_once(folder, task):
    """Is killed at task 3 unless it was before, as if memory had run out."""
    if task == 3 and not (folder / "killed").exists():
        (folder / "killed").touch()
        psutil.Process().kill()
    touch(folder, task)


def always_killed(_folder, task):
    if task == 3:
        psutil.Process().kill()


def refused(_folder, task):
    if task == 3:
        raise InputError("task 3 cannot be done")


def doubled(task):
    return 2 * task


def broken(_folder, task):
    if task == 3:
        raise ZeroDivisionError("division by zero")


def threads(folder, task):
    (folder / str(task)).write_text(os.environ["NUMBA_NUM_THREADS"])


def slow(folder, task):
    (folder / f"begun-{task}").touch()
    time.sleep(0.5)
    touch(folder, task)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_task_is_done_once(tmp_path, workers):
    done = list(run_tasks(partial(touch, tmp_path), range(7), workers))
    assert sorted(task for task, _ in done) == list(range(7))
    assert {path.name for path in tmp_path.iterdir()} == {str(task) for task in range(7)}


@pytest.mark.parametrize("workers", [1, 2])
def test_each_task_comes_with_its_result(workers):
    assert dict(run_tasks(doubled, range(5), workers)) == {0: 0, 1: 2, 2: 4, 3: 6, 4: 8}


def test_workers_are_other_processes_of_one_thread(tmp_path):
    list(run_tasks(partial(touch, tmp_path), range(4), 2))
    assert str(os.getpid()) not in {path.read_text() for path in tmp_path.iterdir()}
    list(run_tasks(partial(threads, tmp_path), range(4), 2))
    assert {path.read_text() for path in tmp_path.iterdir()} == {"1"}


@pytest.fixture
def spawned(monkeypatch):
    """Start workers anew, as on Windows."""
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])


def test_workers_that_are_started_anew_do_every_task_with_one_thread(spawned, tmp_path):
    assert processes._start_method() == "spawn"
    done = list(run_tasks(partial(threads, tmp_path), range(3), 2))
    assert sorted(task for task, _ in done) == [0, 1, 2]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"1"}


def test_the_task_of_a_killed_worker_that_was_started_anew_is_done_by_another(spawned, tmp_path):
    done = list(run_tasks(partial(killed_once, tmp_path), range(4), 2))
    assert sorted(task for task, _ in done) == list(range(4))


def test_macos_starts_workers_anew(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert processes._start_method() == "spawn"


def test_no_more_workers_are_started_than_a_system_can_wait_for(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "MOST_WORKERS", 2)
    list(run_tasks(partial(slow, tmp_path), range(6), 6))
    done = [path.read_text() for path in tmp_path.iterdir() if path.name.isdecimal()]
    assert len(set(done)) == 2


class NeverClosed(Connection):
    """Pipe of a worker that was killed on Windows before it opened its end."""

    _handle = None

    def __init__(self):
        pass

    def poll(self):
        return False

    def recv(self):
        raise AssertionError("waits forever")


def test_a_worker_killed_before_it_opened_its_pipe_is_noticed():
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    pipe = NeverClosed()
    alive = processes._of_killed_workers({pipe: (process, 3)})
    process.kill()
    process.join()
    assert alive == []
    assert processes._of_killed_workers({pipe: (process, 3)}) == [pipe]
    assert processes._outcome(pipe, process) is None


def test_no_tasks_give_no_results():
    assert list(run_tasks(partial(touch, Path()), [], 8)) == []


def test_the_task_of_a_killed_worker_is_done_by_another(tmp_path):
    done = list(run_tasks(partial(killed_once, tmp_path), range(6), 2))
    assert sorted(task for task, _ in done) == list(range(6))
    assert (tmp_path / "3").exists()


def test_a_task_that_always_kills_its_worker_is_given_up_by_name():
    with pytest.raises(InputError, match=r"worker of task 3 was killed 3 times \(exit code -9\)"):
        list(run_tasks(partial(always_killed, Path()), range(6), 2))


def test_a_script_without_guard_is_told_so(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "from nanorender.execution.workers import run_tasks\n"
        "list(run_tasks(len, ['a', 'bc'], workers=2))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("nanorender.errors.InputError: a worker process failed to import")
    assert "program.py" in last
    assert "put the calls in it under 'if __name__ == \"__main__\":'" in last


def test_input_error_of_a_worker_is_raised_in_the_parent():
    with pytest.raises(InputError, match=r"^task 3 cannot be done$"):
        list(run_tasks(partial(refused, Path()), range(6), 2))


def test_an_error_in_a_worker_is_raised_here_with_its_traceback():
    with pytest.raises(ZeroDivisionError) as caught:
        list(run_tasks(partial(broken, Path()), range(6), 2))
    assert "in broken" in "".join(caught.value.__notes__)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_no_worker_outlives_a_parent_that_was_killed(tmp_path):
    program = (
        "import sys\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_workers import slow\n"
        "from nanorender.execution.workers import run_tasks\n"
        "if __name__ == '__main__':\n"
        "    list(run_tasks(partial(slow, Path(sys.argv[1])), range(100), 2))\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    wait_for(lambda: len(list(tmp_path.glob("begun-*"))) >= 2)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) >= 2
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert len(gone) == len(family)


def test_no_worker_outlives_a_task_that_failed():
    with pytest.raises(InputError):
        list(run_tasks(partial(refused, Path()), range(6), 2))
    wait_for(lambda: not multiprocessing.active_children())
