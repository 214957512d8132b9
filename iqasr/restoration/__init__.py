"""Restoring anyone's pictures: files and folders of every kind, with networks."""
