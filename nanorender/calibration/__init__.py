"""Recipes fitted to unlabeled micrographs."""
