"""A U-Net in JAX: trained on synthetic images, applied to micrographs."""
