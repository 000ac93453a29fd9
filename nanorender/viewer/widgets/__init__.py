"""Qt widgets of the napari plugin; the only modules that import napari and Qt."""
