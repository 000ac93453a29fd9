"""Types of tasks that run in parallel, and their results."""

from collections.abc import Hashable
from typing import TypeVar

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")
