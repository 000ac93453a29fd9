"""Tasks in parallel processes, which may be killed at any time."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from nanorender.errors import InputError
from nanorender.execution.memory import keep_freed_memory
from nanorender.execution.signals import INTERRUPTS
from nanorender.execution.tasks import Result, Task

MOST_KILLS = 3
"""Number of killed workers after which a task is given up for lack of memory."""

SHUTDOWN_TIMEOUT_S = 1.0
"""Time for workers to finish their tasks when the run is stopped, before they are killed."""

POLL_S = 1.0
"""Time between searches for workers that were killed at their start."""

MOST_WORKERS = 60 if sys.platform == "win32" else sys.maxsize
"""Largest number of processes: Windows waits for at most 63 pipes at once."""

SINGLE_THREADED = {
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Environment of workers: one process per core is faster than competing threads."""


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    scheduler: str | None = None,
) -> Iterator[tuple[Task, Result]]:
    """Run tasks in parallel processes or on a cluster, in any order.

    Parameters
    ----------
    work
        Function of one task, importable by name and safe to run twice.
    tasks
        Distinct arguments of `work`.
    workers
        Number of processes, at most `MOST_WORKERS`; 1 runs all tasks in the current process.
    scheduler
        Address of a Dask cluster to run the tasks instead.

    Yields
    ------
    tuple of task and result
        Each task when it is done.

    Raises
    ------
    InputError
        If the workers of a task are killed repeatedly, a script that starts workers does so when it
        is imported, or no cluster answers.
    Exception
        Any exception raised by `work`, with the traceback of the worker as a note.

    Examples
    --------
    >>> dict(run_tasks(len, ["ab", "abc"], workers=1))
    {'ab': 2, 'abc': 3}
    """
    if scheduler is not None:
        from nanorender.execution.cluster import run_on_cluster

        yield from run_on_cluster(work, tasks, scheduler)
    elif workers == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, work(task)
    else:
        yield from _run_in_processes(work, tasks, workers)


def _run_in_processes(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> Iterator[tuple[Task, Result]]:
    """Run tasks in processes of this machine.

    Each worker has its own pipe and ends when the pipe closes, so none outlives a killed parent. If
    a worker is killed, only its own task is run again.
    """
    waiting, kills = deque(tasks), Counter()
    busy: dict[Connection, tuple[Any, Task]] = {}
    try:
        for _ in range(min(workers, len(tasks), MOST_WORKERS)):
            _assign(_start_worker(work), waiting.popleft(), busy)
        while busy:
            ready: list[Any] = wait(list(busy), POLL_S) or _of_killed_workers(busy)
            for connection in ready:
                process, task = busy[connection]
                outcome = _outcome(connection, process)  # if it raises, `_stop` ends this one too
                del busy[connection]
                if outcome is None:
                    _refuse_failed_start(process)
                    kills[task] += 1
                    if kills[task] == MOST_KILLS:
                        raise _too_many_kills(task, process)
                    waiting.append(task)
                    process, connection = _start_worker(work)
                else:
                    yield task, outcome[0]
                if waiting:
                    _assign((process, connection), waiting.popleft(), busy)
                else:
                    connection.close()
    finally:
        _stop(busy)


def _start_worker(work: Callable) -> tuple[Any, Connection]:
    """Start a worker process; return it with the parent's end of its pipe."""
    method = _start_method()
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        # The fork server imports the module once, before it forks the workers.
        module = work.func.__module__ if isinstance(work, partial) else work.__module__
        context.set_forkserver_preload([module])
    connection, worker_end = context.Pipe()
    process = context.Process(target=_serve, args=(worker_end, work), daemon=True)
    with _environment(SINGLE_THREADED):
        process.start()
    worker_end.close()
    return process, connection


def _start_method() -> Literal["forkserver", "spawn"]:
    """Return how processes are started: from a fork server, or anew where forking is not safe.

    Windows has no fork. On macOS, system libraries may crash in processes that were forked.
    """
    available = "forkserver" in multiprocessing.get_all_start_methods()
    return "forkserver" if available and sys.platform != "darwin" else "spawn"


def _assign(worker: tuple[Any, Connection], task: object, busy: dict) -> None:
    """Send a task to a worker."""
    process, connection = worker
    busy[connection] = (process, task)
    with suppress(OSError):  # killed in the meantime, which `_outcome` detects
        connection.send(task)


def _of_killed_workers(busy: Mapping[Connection, tuple[Any, Task]]) -> list[Connection]:
    """List the pipes of workers that were killed.

    On Windows, the pipe of a worker that was killed before it opened its end never closes.
    """
    return [connection for connection, (process, _) in busy.items() if not process.is_alive()]


def _outcome(connection: Connection, process: Any) -> tuple[Any] | None:
    """Receive the result of a task, or its exception; None if the worker was killed."""
    try:
        if not process.is_alive() and not connection.poll():
            return None
        error, result = connection.recv()
    except (EOFError, OSError):
        return None
    if error is not None:
        raise error
    return (result,)


def _refuse_failed_start(process: Any) -> None:
    """Raise InputError if a worker ended by itself, while it imported the script of the parent."""
    process.join(1)
    if process.exitcode is None or process.exitcode <= 0:  # killed by a signal
        return
    script = getattr(sys.modules["__main__"], "__file__", None) or "the main program"
    raise InputError(
        f"a worker process failed to import {script} (exit code {process.exitcode}); put the calls "
        "in it under 'if __name__ == \"__main__\":', since each worker imports it, or set workers "
        "to 1"
    )


def _too_many_kills(task: object, process: Any) -> InputError:
    """Build the error on a task whose workers were killed."""
    process.join(1)
    return InputError(
        f"the worker of task {task} was killed {MOST_KILLS} times (exit code {process.exitcode}); "
        "if memory ran out, use fewer --workers and run again, completed tasks are kept"
    )


def _stop(busy: dict) -> None:
    """Let workers finish their tasks, which may be nearly done; kill those that time out."""
    for connection in busy:
        connection.close()
    latest = time.monotonic() + SHUTDOWN_TIMEOUT_S
    for process, _ in busy.values():
        process.join(max(0.0, latest - time.monotonic()))
        if process.is_alive():
            process.kill()


def _serve(connection: Connection, work: Callable) -> None:
    """Run tasks in a worker process until the pipe closes."""
    keep_freed_memory()
    # Signals from keyboard or batch system reach all processes; only the parent acts on them.
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    try:
        while True:
            task = connection.recv()
            try:
                result = work(task)
            except Exception as error:  # raised by the parent
                if not isinstance(error, InputError):
                    error.add_note("".join(traceback.format_exception(error)))
                connection.send((error, None))
            else:
                connection.send((None, result))
    except (EOFError, OSError):
        return


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes started in the context."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
