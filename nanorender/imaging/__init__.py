"""Gray images of scenes: light, materials, contamination, detector and transmission."""
