"""Tasks on all cores, each in a process that may be killed at any moment."""

import multiprocessing
import os
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from nanorender.errors import InputError

MOST_KILLS = 3
"""A task whose worker was killed so often is given up: it needs more memory than there is."""

LONGEST_FAREWELL_S = 10.0
"""How long a worker may take to finish its task when the run is stopped, before it is killed."""

SINGLE_THREADED = {
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""One process a core is faster than threads, which would only get in each other's way."""


def run_tasks(work: Callable[[int], None], tasks: Sequence[int], workers: int) -> Iterator[int]:
    """Do `work` for every task and yield the tasks as they are done, in any order.

    Strategy: each worker has a pipe of its own. It ends when the pipe does, so none outlives a
    parent that was killed; and if a worker is killed, its task alone is done again.

    `work` must be importable by name, and harmless when done twice.

    Raises
    ------
    InputError
        If the workers of one task are killed again and again.
    Exception
        Whatever `work` raises, with the traceback in the worker as a note.
    """
    if workers == 1 or len(tasks) < 2:
        for task in tasks:
            work(task)
            yield task
        return
    waiting, kills = deque(tasks), Counter()
    busy: dict[Connection, tuple[Any, int]] = {}
    try:
        for _ in range(min(workers, len(tasks))):
            _assign(_started(work), waiting.popleft(), busy)
        while busy:
            ready: list[Any] = wait(list(busy))
            for connection in ready:
                process, task = busy.pop(connection)
                if _outcome(connection):
                    yield task
                else:
                    kills[task] += 1
                    if kills[task] == MOST_KILLS:
                        raise _given_up(task, process)
                    waiting.append(task)
                    process, connection = _started(work)
                if waiting:
                    _assign((process, connection), waiting.popleft(), busy)
                else:
                    connection.close()
    finally:
        _dismiss(busy)


def _started(work: Callable[[int], None]) -> tuple[Any, Connection]:
    """Return a new worker process and the parent's end of its pipe."""
    server = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        # Imported once; workers are forks of a process that has it.
        module = work.func.__module__ if isinstance(work, partial) else work.__module__
        context.set_forkserver_preload([module])
    parents, childs = context.Pipe()
    process = context.Process(target=_serve, args=(childs, work), daemon=True)
    with _environment(SINGLE_THREADED):
        process.start()
    childs.close()
    return process, parents


def _assign(worker: tuple[Any, Connection], task: int, busy: dict) -> None:
    process, connection = worker
    busy[connection] = (process, task)
    with suppress(OSError):  # it was killed meanwhile; `_outcome` will find its pipe at an end
        connection.send(task)


def _outcome(connection: Connection) -> bool:
    """Return True if the task was done, False if the worker was killed; raise what it raised."""
    try:
        error = connection.recv()
    except (EOFError, OSError):
        return False
    if error is not None:
        raise error
    return True


def _given_up(task: int, process: Any) -> InputError:
    process.join(1)
    return InputError(
        f"the process that made sample {task} was killed {MOST_KILLS} times (exit code "
        f"{process.exitcode}); if memory ran out, use fewer --workers. What is done is kept"
    )


def _dismiss(busy: dict) -> None:
    """Let workers finish their task, since it may be nearly done, and end; kill those that hang."""
    for connection in busy:
        connection.close()
    for process, _ in busy.values():
        process.join(LONGEST_FAREWELL_S)
        if process.is_alive():
            process.kill()


def _serve(connection: Connection, work: Callable[[int], None]) -> None:
    """Do tasks until the pipe ends."""
    # An interrupt from the keyboard reaches all processes; the parent alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            task = connection.recv()
            try:
                work(task)
            except Exception as error:  # not swallowed: the parent raises it
                if not isinstance(error, InputError):
                    error.add_note("".join(traceback.format_exception(error)))
                connection.send(error)
            else:
                connection.send(None)
    except (EOFError, OSError):
        return


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started meanwhile."""
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
