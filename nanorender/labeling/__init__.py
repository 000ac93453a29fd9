"""Exact label maps of what is seen, and the truth about each particle."""
