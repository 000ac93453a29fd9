"""Tasks on all cores or on a cluster, each in a process that may be killed at any moment."""

import multiprocessing
import os
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from nanorender.errors import InputError

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")

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


def run_tasks(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    scheduler: str | None = None,
) -> Iterator[tuple[Task, Result]]:
    """Do `work` for every task and yield each with its result as it is done, in any order.

    Parameters
    ----------
    work
        Importable by name, and harmless when done twice.
    tasks
        What it is called with; all different.
    workers
        Processes of this machine; 1 stays in this one.
    scheduler
        Address of a Dask cluster that does the work in their stead.

    Raises
    ------
    InputError
        If the workers of one task are killed again and again, or no cluster answers.
    Exception
        Whatever `work` raises, with the traceback in the worker as a note.
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
    """Do `work` in processes of this machine.

    Strategy: each worker has a pipe of its own. It ends when the pipe does, so none outlives a
    parent that was killed; and if a worker is killed, its task alone is done again.
    """
    waiting, kills = deque(tasks), Counter()
    busy: dict[Connection, tuple[Any, Task]] = {}
    try:
        for _ in range(min(workers, len(tasks))):
            _assign(_started(work), waiting.popleft(), busy)
        while busy:
            ready: list[Any] = wait(list(busy))
            for connection in ready:
                process, task = busy[connection]
                outcome = _outcome(connection)  # if it raises, this worker is dismissed as well
                del busy[connection]
                if outcome is None:
                    kills[task] += 1
                    if kills[task] == MOST_KILLS:
                        raise _given_up(task, process)
                    waiting.append(task)
                    process, connection = _started(work)
                else:
                    yield task, outcome[0]
                if waiting:
                    _assign((process, connection), waiting.popleft(), busy)
                else:
                    connection.close()
    finally:
        _dismiss(busy)


def _started(work: Callable) -> tuple[Any, Connection]:
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


def _assign(worker: tuple[Any, Connection], task: object, busy: dict) -> None:
    process, connection = worker
    busy[connection] = (process, task)
    with suppress(OSError):  # it was killed meanwhile; `_outcome` will find its pipe at an end
        connection.send(task)


def _outcome(connection: Connection) -> tuple[Any] | None:
    """Return the result of a task, None if the worker was killed; raise what it raised."""
    try:
        error, result = connection.recv()
    except (EOFError, OSError):
        return None
    if error is not None:
        raise error
    return (result,)


def _given_up(task: object, process: Any) -> InputError:
    process.join(1)
    return InputError(
        f"the process that worked on {task} was killed {MOST_KILLS} times (exit code "
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


def _serve(connection: Connection, work: Callable) -> None:
    """Do tasks until the pipe ends."""
    # An interrupt from the keyboard, or a batch system's, reaches all processes; the parent alone
    # decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        while True:
            task = connection.recv()
            try:
                result = work(task)
            except Exception as error:  # not swallowed: the parent raises it
                if not isinstance(error, InputError):
                    error.add_note("".join(traceback.format_exception(error)))
                connection.send((error, None))
            else:
                connection.send((None, result))
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
