"""Correction of size statistics by the response of the segmentation to images of known truth."""
