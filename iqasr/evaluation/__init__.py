"""Evaluation: networks restore test sets, metrics measure every image, a guard compares."""
