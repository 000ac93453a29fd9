"""Recipes fitted to unlabelled micrographs, and how alike real and synthetic images are."""
