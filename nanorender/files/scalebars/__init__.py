"""Text and scale bars burnt into micrographs: recognized, measured and masked."""
