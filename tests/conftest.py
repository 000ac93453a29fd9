"""Every test checks shapes and types of the public functions, on the same examples each time."""

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["nanorender", "unet"], "beartype.beartype")

# A failure must be that of the change at hand, and happen again. `--hypothesis-profile=default`
# draws new examples each time.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
