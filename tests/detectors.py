"""Detectors to compare with."""

FAULTLESS = {
    "astigmatism": 1,
    "gain": 1,
    "black_level": 0,
    "counts_at_white": 0,
    "noise_levels": 0,
    "noise_correlation": 0,
    "line_correlation": 0,
    "line_noise_levels": 0,
    "streak_strength": 0,
    "gradient_strength": 0,
}
"""Settings of a detector that adds nothing to what it sees but its point spread."""
