"""Tasks on an existing Dask cluster, whose workers may come, go and be killed."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from nanorender.errors import InputError
from nanorender.versions import RENDERING_PACKAGES, installed_versions

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")

TASKS_IN_HAND = 4
"""Tasks a thread of the cluster that are handed over at a time, so that none waits for the next
and the scheduler need not hold a hundred thousand."""

LONGEST_WAIT_S = 60
"""How long the scheduler may take to answer and to have its first worker."""


def run_on_cluster(
    work: Callable[[Task], Result], tasks: Sequence[Task], scheduler: str
) -> Iterator[tuple[Task, Result]]:
    """Do `work` for every task on the cluster of a scheduler; yield each with its result.

    A task whose worker is killed is given to another by the scheduler.

    Raises
    ------
    InputError
        If `distributed` is not installed, no scheduler answers, it has no workers, theirs are other
        versions, or the workers of one task are killed again and again.
    Exception
        Whatever `work` raises.
    """
    with _connected(scheduler) as client:
        yield from _completed(client, work, tasks)


def check_cluster(scheduler: str) -> None:
    """Raise InputError, as `run_on_cluster`, if no cluster would do the work."""
    with _connected(scheduler):
        pass


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    """Give a client of a cluster that has workers of our versions."""
    try:
        import distributed
    except ModuleNotFoundError:
        raise InputError(
            "--scheduler needs the package distributed; pip install 'nanorender[cluster]'"
        ) from None
    try:
        client = distributed.Client(scheduler, timeout=LONGEST_WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {scheduler} ({error}); give the address that "
            "'dask scheduler' prints, such as tcp://10.0.0.1:8786"
        ) from None
    with client:
        _check_workers(client, scheduler)
        yield client


def _completed(
    client: Any, work: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result]]:
    from distributed import KilledWorker, as_completed

    def submit(task: Task) -> Any:
        # The key must be new: another run may be at the same work on the same cluster.
        future = client.submit(work, task, pure=False)
        task_of[future.key] = task
        return future

    task_of: dict[str, Task] = {}
    waiting = iter(tasks)
    in_hand = TASKS_IN_HAND * max(1, sum(client.nthreads().values()))
    running = as_completed([submit(task) for task in islice(waiting, in_hand)], loop=client.loop)
    for future in running:
        task = task_of.pop(future.key)
        try:
            result = future.result()
        except KilledWorker as error:
            raise InputError(
                f"the workers that were given {task} were killed again and again, the last was "
                f"{error.last_worker.address}; give workers more memory. What is done is kept"
            ) from None
        yield task, result
        for following in islice(waiting, 1):
            running.add(submit(following))


def _check_workers(client: Any, scheduler: str) -> None:
    """Wait for a worker; refuse workers of other versions, which would make other files."""
    try:
        client.wait_for_workers(1, timeout=LONGEST_WAIT_S)
    except TimeoutError:
        raise InputError(f"the scheduler at {scheduler} has no workers; start some") from None
    ours = installed_versions(RENDERING_PACKAGES)
    for worker, theirs in client.run(installed_versions, RENDERING_PACKAGES).items():
        if theirs != ours:
            name = next(name for name in ours if ours[name] != theirs.get(name))
            raise InputError(
                f"the worker at {worker} has {name} {theirs.get(name)}, not {ours[name]} as here; "
                "files would differ: install the same versions"
            )
