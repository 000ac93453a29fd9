"""Every test runs with the shapes and types of the public functions checked."""

from jaxtyping import install_import_hook

install_import_hook(["nanorender", "unet"], "beartype.beartype")
