"""The HTML report of a study, with figures, overlays, tables and outlines."""
