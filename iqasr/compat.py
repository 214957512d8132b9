"""Every workaround for a dependency: what fails, the smallest remedy, when to remove it."""

import importlib
import importlib.util
import os
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

SWITCHES = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
"""Variables of the environment by which ``torch.load`` runs no code in a file, or any."""

SWITCHING = threading.RLock()
"""The environment is one for all threads."""


@contextmanager
def tensors_only() -> Iterator[None]:
    """Let no library run code in a weight file, whatever it asks of ``torch.load``.

    pyiqa, torch.hub and torch < 2.6 unpickle freely. A file that holds more than tensors and
    numbers raises ``pickle.UnpicklingError``.
    Remove when none of them does.
    """
    with SWITCHING:
        before = {name: os.environ.pop(name, None) for name in SWITCHES}
        os.environ[SWITCHES[0]] = '1'
        try:
            yield
        finally:
            del os.environ[SWITCHES[0]]
            os.environ.update({name: value for name, value in before.items() if value is not None})


@contextmanager
def quiet_onnx_export() -> Iterator[None]:
    """Let ``torch.onnx.export`` raise its errors without printing the whole graph first.

    It takes its log for switched on because of a function that it forgets to call.
    Remove when ``setup_onnx_logging`` calls ``_jit_is_onnx_log_enabled``, or is gone.
    """
    import torch

    with mock.patch.object(torch._C, '_jit_is_onnx_log_enabled', False, create=True):
        yield


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


def ignore_warnings_of_others() -> None:
    """Ignore what torch and torchvision say of BasicSR's networks, which no user can change.

    Remove when BasicSR gives ``weights`` to torchvision's VGG, and ``indexing`` to ``meshgrid``.
    """
    for message in (
        "The parameter 'pretrained' is deprecated",
        'Arguments other than a weight enum',
        'torch.meshgrid: in an upcoming release',
    ):
        warnings.filterwarnings('ignore', message)


stand_in_for_functional_tensor()
import_basicsr_quietly()
ignore_warnings_of_others()
