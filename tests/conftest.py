"""Every test checks shapes and types of the public functions, on the same examples each time."""

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["nanorender", "unet"], "beartype.beartype")

# A failure must be that of the change at hand, and happen again. `--hypothesis-profile=default`
# draws new examples each time.
# A busy machine is slow, which is no failure either.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
