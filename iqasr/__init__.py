"""Perceptual super-resolution guided by image quality predictors, on top of BasicSR.

Importing it registers everything in BasicSR's registries. Its packages, in the order in which one
builds on another::

    runtime       atomic files, processes, randomness, paths
    pretrained    weights by name: catalogue, sources, cache
    options       option files, and the constructor as schema
    sampling      policies: which candidate ground truth a crop is trained on
    quality       scorers: image -> quality, higher is better
    data          images and their candidates, scored and read by crops
    degradation   original -> low-quality input, on the device
    archs         the backbone (BasicSR's registry, and those here), adapters
    losses        objective = weighted terms
    metrics       what is reported of a restored image
    evaluation    restore and measure test sets
    checking      everything wrong with an option file, at once; files of other tools
    models        one training step
    training      a whole run, from the command line to its results

Tools that use them: `enhancement` makes candidates, `analysis` asks which metrics agree with
people, `curation` picks what is worth training on, `ranking` trains the packaged scorer,
`user_study` asks people, `report` shows results, `restoration` restores anyone's pictures,
`improvement` does it all for one network.
"""

from iqasr import compat  # first: it lets basicsr be imported

from iqasr import sampling  # isort: skip
from iqasr import quality, data, degradation, archs, losses, metrics, models, enhancement  # isort: skip
