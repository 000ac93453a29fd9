"""Interrupts in the middle of compiled code, which Python serves only between its own steps."""

import ctypes
import functools
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from nanorender.execution.tasks import Result

Arguments = ParamSpec("Arguments")
Produced = TypeVar("Produced")

POLL_S = 0.2
"""Time between looks for a signal; Windows delivers none while it waits for a thread."""


def interruptible(function: Callable[Arguments, Produced]) -> Callable[Arguments, Produced]:
    """Let signals interrupt a function at once, whatever compiled code it is in.

    Python calls the handler of a signal in the main thread, between two steps of its interpreter.
    A kernel that runs for minutes there would delay it for as long. The function therefore runs in
    a thread of its own, and the main thread only waits. Kernels release the interpreter's lock.

    When a signal raises an exception in the main thread, the function is left behind: it ends when
    its present kernel returns, or with the process. It must not leave a shared resource, such as a
    file that others read, in a state that depends on its end. Called from another thread, which no
    signal reaches, the function runs as it is.

    Parameters
    ----------
    function
        Function of any arguments.

    Returns
    -------
    callable
        The same function, which raises what a handler of signals raises.

    Examples
    --------
    >>> interruptible(sum)([1, 2])
    3
    """

    @functools.wraps(function)
    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Produced:
        if threading.current_thread() is not threading.main_thread():
            return function(*arguments, **named)
        return _call_in_thread(lambda: function(*arguments, **named))

    return call


def _call_in_thread(work: Callable[[], Result]) -> Result:
    """Call a function in a thread while the main thread handles signals."""
    outcome: dict[str, Any] = {}
    context = copy_context()

    def run() -> None:
        try:
            outcome["result"] = context.run(work)
        except BaseException as error:  # raised in the main thread
            outcome["error"] = error

    thread = threading.Thread(target=run, name="interruptible", daemon=True)
    try:
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
    except BaseException:
        _end(thread)
        raise
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def _end(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread at its next step in Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )
