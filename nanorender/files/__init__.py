"""Micrographs, label maps and datasets as files: checked when read, whole when written."""
