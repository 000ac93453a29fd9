"""Exact label maps of rendered views, with the truth table of their particles."""
