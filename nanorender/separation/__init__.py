"""Label maps of particles from the maps that a network predicts."""
