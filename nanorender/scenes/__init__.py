"""What lies on the sample: shapes of particles, where they sit, and from where they are seen."""
