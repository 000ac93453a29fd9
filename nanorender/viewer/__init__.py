"""A napari plugin to segment micrographs, correct label maps by hand and measure them again."""
