"""Checks of the images on the disk before a run meets them."""
