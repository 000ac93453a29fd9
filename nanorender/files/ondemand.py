"""Sequences whose items are read when they are asked for, so that memory holds one at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

Item = TypeVar("Item")


class ReadOnDemand(Sequence[Item]):
    """Items that a function reads from their sources each time that they are asked for.

    Parameters
    ----------
    sources
        What the items are read from, such as paths.
    read
        Reads an item.

    Examples
    --------
    >>> lengths = ReadOnDemand(["a", "bcd"], len)
    >>> lengths[1], list(lengths), len(lengths)
    (3, [1, 3], 2)
    """

    def __init__(self, sources: Sequence[Any], read: Callable[[Any], Item]) -> None:
        self._sources = sources
        self._read = read

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[Item]:
        return map(self._read, self._sources)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> "ReadOnDemand[Item]": ...

    def __getitem__(self, index: int | slice) -> "Item | ReadOnDemand[Item]":
        if isinstance(index, slice):
            return ReadOnDemand(self._sources[index], self._read)
        return self._read(self._sources[index])
