"""Scores of label maps against annotations or synthetic truth."""
