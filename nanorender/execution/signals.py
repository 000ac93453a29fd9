"""Signals by which keyboard, terminal or batch system stop a command."""

import signal

INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
"""Those of this system; only Windows has SIGBREAK, also sent when a window is closed."""
