"""Every workaround for a dependency: what fails, the smallest remedy, when to remove it."""

import importlib
import importlib.util
import sys
import types
import warnings


def stand_in_for_functional_tensor() -> None:
    """Let basicsr 1.4.2 be imported with torchvision >= 0.17.

    It imports ``rgb_to_grayscale`` from a torchvision module that is gone.
    Remove when a release of basicsr imports it from ``torchvision.transforms.functional``.
    """
    name = 'torchvision.transforms.functional_tensor'
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    from torchvision.transforms.functional import rgb_to_grayscale

    module = types.ModuleType(name)
    module.rgb_to_grayscale = rgb_to_grayscale
    sys.modules[name] = module


def import_basicsr_quietly() -> None:
    """Import basicsr without the warnings its old imports raise (``scipy.ndimage.filters``).

    Remove when a release of basicsr imports ``scipy.ndimage.convolve`` directly.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        importlib.import_module('basicsr')


stand_in_for_functional_tensor()
import_basicsr_quietly()
