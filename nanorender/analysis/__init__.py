"""Separates, measures and compares particles in label maps and micrographs."""
