"""Size distributions with confidence intervals, fits and regulatory shares."""
