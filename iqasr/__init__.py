"""Perceptual super-resolution guided by image quality predictors, on top of BasicSR."""

from iqasr import compat as compat
