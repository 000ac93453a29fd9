"""Tasks on an existing Dask cluster, whose workers may come and go."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from nanorender.errors import InputError
from nanorender.execution.tasks import Result, Task
from nanorender.versions import RENDERING_PACKAGES, installed_versions

TASKS_PER_THREAD = 4
"""Tasks submitted ahead per thread of the cluster: enough to keep it busy without flooding the
scheduler."""

LONGEST_WAIT_S = 60
"""Timeout for connecting to the scheduler, and for its first worker."""


def run_on_cluster(
    work: Callable[[Task], Result], tasks: Sequence[Task], scheduler: str
) -> Iterator[tuple[Task, Result]]:
    """Run tasks on a Dask cluster in any order.

    The scheduler gives the task of a killed worker to another one.

    Parameters
    ----------
    work
        Function of one task, importable by name and safe to run twice.
    tasks
        Distinct arguments of `work`.
    scheduler
        Address of the scheduler.

    Yields
    ------
    tuple of task and result
        Each task when it is done.

    Raises
    ------
    InputError
        If `distributed` is not installed, the scheduler does not answer or has no workers, their
        versions differ, or the workers of a task are killed repeatedly.
    Exception
        Any exception raised by `work`.
    """
    with _connected(scheduler) as client:
        yield from _completed(client, work, tasks)


def check_cluster(scheduler: str) -> None:
    """Check that a cluster is ready to work.

    Parameters
    ----------
    scheduler
        Address of the scheduler.

    Raises
    ------
    InputError
        As `run_on_cluster`.
    """
    with _connected(scheduler):
        pass


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """Connect to a cluster whose workers have the same versions."""
    try:
        import distributed
    except ModuleNotFoundError:
        raise InputError(
            "--scheduler needs the package distributed; run pip install 'nanorender[cluster]'"
        ) from None
    try:
        client = distributed.Client(scheduler, timeout=LONGEST_WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {scheduler} ({error}); give the address printed by "
            "'dask scheduler', such as tcp://10.0.0.1:8786"
        ) from None
    with client:
        _check_workers(client, scheduler)
        yield client


def _completed(
    client: Any, work: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result]]:
    """Submit tasks as others complete, and yield the results."""
    from distributed import KilledWorker, as_completed

    def submit(task: Task) -> Any:
        # A pure task would share its key with the same task of another run on this cluster.
        future = client.submit(work, task, pure=False)
        task_of[future.key] = task
        return future

    task_of: dict[str, Task] = {}
    waiting = iter(tasks)
    in_hand = TASKS_PER_THREAD * max(1, sum(client.nthreads().values()))
    running = as_completed([submit(task) for task in islice(waiting, in_hand)], loop=client.loop)
    for future in running:
        task = task_of.pop(future.key)
        try:
            result = future.result()
        except KilledWorker as error:
            raise InputError(
                f"all workers of task {task} were killed, the last at {error.last_worker.address}; "
                "give workers more memory and run again, completed tasks are kept"
            ) from None
        yield task, result
        for following in islice(waiting, 1):
            running.add(submit(following))


def _check_workers(client: Any, scheduler: str) -> None:
    """Wait for a worker, and refuse workers whose versions would write different files."""
    try:
        client.wait_for_workers(1, timeout=LONGEST_WAIT_S)
    except TimeoutError:
        raise InputError(f"the scheduler at {scheduler} has no workers; start one") from None
    ours = installed_versions(RENDERING_PACKAGES)
    for worker, theirs in client.run(installed_versions, RENDERING_PACKAGES).items():
        if theirs != ours:
            name = next(name for name in ours if ours[name] != theirs.get(name))
            raise InputError(
                f"the worker at {worker} has {name} {theirs.get(name)}, this machine {ours[name]}; "
                "install the same versions"
            )
