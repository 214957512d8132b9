"""Perceptual super-resolution guided by image quality predictors, on top of BasicSR.

An option file flows through these stages, one folder each::

    data          an image and its candidate ground truths: original and enhanced
    sampling      which candidate this crop is trained on
    degradation   original -> low-quality input, on the device
    archs         the backbone (BasicSR's registry, and those here)
    quality       scorers: image -> quality, higher is better
    losses        objective = weighted terms
    models        one training step
    metrics       validation and test
    report        tables and pictures

Beside them, `ranking` trains the packaged scorer, and `enhancement` makes candidates.

Importing the package registers everything.
"""

from iqasr import compat  # first: it lets basicsr be imported

from iqasr import data  # isort: skip
from iqasr import archs, degradation, enhancement, losses, metrics, models, quality, sampling
