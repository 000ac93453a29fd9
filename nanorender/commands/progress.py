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
class Show(Protocol):
    """A bar of progress."""

    def __call__(self, done: int, total: int, more: str = "") -> None:
        """Show how much is done, and of how much; `more` says in words how it goes."""


@contextmanager
def progress(what: str) -> Iterator[Show]:
    """Give a function that shows progress on the standard error."""
    with Progress(*COLUMNS, console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=None)

        def show(done: int, total: int, more: str = "") -> None:
            doing = f"{what}, {more}" if more else what
            bars.update(task, completed=done, total=total, description=doing)

        yield show


def counted(items: Iterable[Item], total: int, show: Show) -> Iterator[Item]:
    """Yield the items; `show` is called with how many have been worked on, and of how many."""
    show(0, total)
    for done, item in enumerate(items, start=1):
        yield item
        show(done, total)
