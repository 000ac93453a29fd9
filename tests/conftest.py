"""Check types and array shapes of all functions in tests, on reproducible examples."""

import signal

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["nanorender", "unet"], "beartype.beartype")

# Reproducible examples attribute a failure to the change under test; `--hypothesis-profile=default`
# draws new ones. No deadline, since a busy machine is slow.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# A shell lets what it starts in the background ignore Ctrl-C, and processes inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
