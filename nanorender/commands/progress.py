"""Progress bars of the command line."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
)


@runtime_checkable
class ProgressCallback(Protocol):
    """Function that updates a progress bar."""

    def __call__(self, done: int, total: int, more: str = "") -> None:
        """Update the bar; `more` is appended to its description."""


@contextmanager
def progress(what: str) -> Iterator[ProgressCallback]:
    """Show a progress bar on standard error, updated by the function that this yields."""
    with Progress(*COLUMNS, console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=None, visible=False)  # not above an error at the start

        def show(done: int, total: int, more: str = "") -> None:
            doing = f"{what}, {more}" if more else what
            bars.update(task, completed=done, total=total, description=doing, visible=True)

        yield show


def counted(items: Iterable[Item], total: int, on_progress: ProgressCallback) -> Iterator[Item]:
    """Yield items and report how many have been processed."""
    on_progress(0, total)
    for done, item in enumerate(items, start=1):
        yield item
        on_progress(done, total)
