"""Stores: LMDBs and raw stores of images, written once and read by crops."""
