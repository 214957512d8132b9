"""Networks from files: what scripts take that only restore."""

from pathlib import Path

from torch import nn

from iqasr.archs.spandrel_networks import network_of
from iqasr.checking.check import load_options
from iqasr.models.networks import build_generator, enlargement
from iqasr.pretrained import locate_weights
from iqasr.runtime.weights import load_file, parameters_in

OPTION_FILES = ('.yml', '.yaml')


def open_network(path: str | Path) -> tuple[nn.Module, int]:
    """Make the network of a file, to restore with.

    Args:
        path: A test option file with its weights; or weights (``.pth``, ``.safetensors``), of which
            ``params_ema`` is preferred, whose architecture is recognised; or their name.

    Returns:
        The network, frozen and in evaluation mode, and how many times it enlarges.

    Raises:
        OptionError: If the option file is wrong.
        CheckpointError: If the weights are missing or damaged.
        ValueError: If the weights are not recognised, or the network does not enlarge RGB images
            by a whole number.
    """
    path = locate_weights(path)
    if path.suffix in OPTION_FILES:
        options = load_options(path, phase='test')
        network, scale = build_generator(options), options.scale
    else:
        network, _ = network_of(parameters_in(load_file(path), 'params_ema', path), path)
        scale = enlargement(network)
        if scale < 1 or scale != int(scale):
            raise ValueError(f'{path}: enlarges {scale:g} times; a whole number is needed.')
    return network.eval().requires_grad_(False), int(scale)
