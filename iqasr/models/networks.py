"""Networks as an option file asks for them, or as a file of weights holds them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.archs.attention_masks import remember_masks
from iqasr.archs.sizes import require_sizes, sizes_of
from iqasr.archs.spandrel_networks import network_of
from iqasr.archs.window_attention import speed_up_attention
from iqasr.checking.check import load_options
from iqasr.options.sections import RECOGNISED, Options
from iqasr.pretrained import locate_weights, named_entry
from iqasr.registry import ARCH_REGISTRY, build
from iqasr.runtime.errors import CheckpointError, MissingWeightsError
from iqasr.runtime.weights import load_file, load_network, parameters_in

logger = logging.getLogger('iqasr')

OPTION_FILES = ('.yml', '.yaml')

BEST_FIRST = ('net_g_best.pth', 'net_g_latest.pth')
"""Which of the weights of a run are taken."""


def locate_network(weights: str | Path) -> Path:
    """Find the file of a network that is given by path or by name, and fetch what has a name.

    Of the folder of a run, the best weights are taken if the run kept them, otherwise the last.

    Raises:
        MissingWeightsError: As `locate_weights`; or if a folder is not that of a run.
        ValueError: If the name is one of something else.
    """
    entry = named_entry(weights)
    if entry is not None and entry.kind != 'network':
        raise ValueError(f'{entry.name} is no network, but {entry.about} ({entry.kind}).')
    path = locate_weights(weights)
    if not path.is_dir():
        return path
    kept = [path / 'models' / name for name in BEST_FIRST if (path / 'models' / name).is_file()]
    if not kept:
        raise MissingWeightsError(
            f'{path}: a folder, but not of a run with weights: models/ holds neither '
            f'{" nor ".join(BEST_FIRST)}. Name a file of weights.'
        )
    logger.info('%s: its weights are those of models/%s.', path, kept[0].name)
    return kept[0]


def open_network(path: str | Path) -> tuple[nn.Module, int]:
    """Make the network of a file, to restore with.

    Args:
        path: A test option file with its weights; or weights (``.pth``, ``.safetensors``), of which
            ``params_ema`` is preferred, whose architecture is recognised; or their name; or the
            folder of a run.

    Returns:
        The network, frozen and in evaluation mode, and how many times it enlarges.

    Raises:
        OptionError: If the option file is wrong.
        CheckpointError: If the weights are missing or damaged.
        ValueError: If the name is not one of a network, the weights are not recognised, or the
            network does not enlarge RGB images by a whole number.
    """
    path = locate_network(path)
    if path.suffix in OPTION_FILES:
        options = load_options(path, phase='test')
        network, scale = build_generator(options), options.scale
    else:
        network, _ = network_of(parameters_in(load_file(path), 'params_ema', path), path)
        scale = enlargement(network)
        if scale < 1 or scale != int(scale):
            raise ValueError(f'{path}: enlarges {scale:g} times; a whole number is needed.')
    return network.eval().requires_grad_(False), int(scale)


def build_generator(options: Options) -> nn.Module:
    """Build the generator of an option file and load its pretrained weights.

    A generator that is not described is recognised from its weights; ``options.network_g`` then
    says which one it is.

    Raises:
        CheckpointError: If the weights are missing, damaged, or of another network.
        ValueError: If weights are not recognised, or the generator does not fit the data.
    """
    network = build_network(options, 'g')
    require_sizes(network, options.network_g)
    check_generator(network, options)
    return network


def build_discriminator(options: Options) -> nn.Module:
    """Build the discriminator of an option file and load its pretrained weights.

    Raises:
        CheckpointError: If the weights are missing, damaged, or of another network.
        ValueError: If it judges images of another size than the crops.
    """
    network, crop = build_network(options, 'd'), options.train_set.get('gt_size')
    own = getattr(network, 'input_size', None)
    if own is not None and crop is not None and own != crop:
        raise ValueError(
            f'network_d: {type(network).__name__} judges images of {own} px, but '
            f'datasets.train.gt_size is {crop}. Change one of them, or the network.'
        )
    require_logits(network, crop or 64)
    return network


@torch.no_grad()
def require_logits(network: nn.Module, side: int) -> None:
    """Let a discriminator judge an RGB image of a side in pixels.

    Raises:
        ValueError: If it cannot, or returns an image, as a generator does.
    """
    image, name = torch.zeros(1, 3, side, side), type(network).__name__
    try:
        logits = network.eval()(image)
    except Exception as error:
        raise ValueError(
            f'network_d: {name} cannot judge an RGB image of {side} px: {error}'
        ) from error
    finally:
        network.train()
    is_image = isinstance(logits, Tensor) and logits.dim() == 4 and logits.shape[1] == 3
    if not isinstance(logits, Tensor) or is_image or logits.shape[-1] > side:
        raise ValueError(
            f'network_d: {name} returns images, not how real they are; give a discriminator, such '
            'as UNetDiscriminatorSN.'
        )


def build_network(options: Options, letter: str) -> nn.Module:
    """Build the network ``network_<letter>`` of an option file and load its pretrained weights.

    If it is recognised from its weights, its section then says which one it is.
    """
    label, path = f'network_{letter}', options.path
    section, weights = getattr(options, label), getattr(path, f'pretrain_{label}')
    key, strict = getattr(path, f'param_key_{letter}'), getattr(path, f'strict_load_{letter}')
    try:
        if weights is not None:
            weights = str(locate_weights(weights))
        if section == RECOGNISED:
            network, section = network_of(parameters_in(load_file(weights), key, weights), weights)
            setattr(options, label, dict(section))
            logger.info('%s holds: %s', weights, section)
        else:
            network = build_from(label, section)
            if weights is not None:
                load_pretrained(network, weights, key=key, strict=strict)
                logger.info('%s: weights of %s.', label, weights)
    except (CheckpointError, MissingWeightsError) as error:
        raise type(error)(f'path.pretrain_{label}: {error}') from error
    count = sum(parameter.numel() for parameter in network.parameters())
    logger.info('%s: %s, %s parameters.', label, arch_name(section), f'{count:,}')
    return network


def build_from(label: str, section: Mapping[str, Any]) -> nn.Module:
    """Build a network from its section, whose label an error names."""
    try:
        network = build(ARCH_REGISTRY, section)
    except ValueError as error:
        raise ValueError(f'{label}: {error}') from error
    remember_masks(network)
    speed_up_attention(network)
    return network


def arch_name(section: Mapping[str, Any]) -> str:
    """Name the architecture of a section."""
    return section.get('arch', section['type'])


def load_pretrained(network: nn.Module, path: str, *, key: str, strict: bool) -> None:
    """Load weights into a network; if they are of another, say of which.

    Raises:
        CheckpointError: If they do not fit.
    """
    try:
        load_network(network, path, key=key, strict=strict)
    except CheckpointError as error:
        try:
            found, section = network_of(parameters_in(load_file(path), key, path), path)
        except ValueError:
            raise error from None
        raise CheckpointError(
            f'{error} The file is recognised as {arch_name(section)}, '
            f'{enlargement(found):g} x; leave network_g out to use it as it is.'
        ) from error


@torch.no_grad()
def enlargement(network: nn.Module, channels: int = 3) -> float:
    """Restore a small image to see how many times a network enlarges.

    Args:
        network: The network.
        channels: 3: RGB, 1: luma.

    Raises:
        ValueError: If it takes or returns anything but such an image.
    """
    rows, columns = sizes_of(network).padding(16, 16)
    lq = torch.zeros(1, channels, 16 + rows, 16 + columns)
    kind = {1: 'a luma', 3: 'an RGB'}[channels]
    try:
        output = network.eval()(lq)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f'{type(network).__name__} cannot take {kind} image: {error}') from error
    finally:
        network.train()
    if not isinstance(output, Tensor) or output.shape[:2] != lq.shape[:2]:
        raise ValueError(f'{type(network).__name__} does not return {kind} image.')
    return output.shape[-1] / lq.shape[-1]


def check_generator(network: nn.Module, options: Options) -> None:
    """Check that a generator fits the data of an option file.

    Raises:
        ValueError: If it enlarges by another factor, or cannot take the crops.
    """
    name, scale = arch_name(options.network_g), options.scale
    luma = any(section.get('color') == 'y' for section in options.datasets.values())
    found = enlargement(network, 1 if luma else 3)
    if found != scale:
        raise ValueError(
            f'network_g: {name} enlarges {found:g} times, but scale is {scale}. Use a network '
            f'for {scale} times, or scale: {found:g} and data made for it.'
        )
    side = (options.train_set.get('gt_size') or 0) // scale
    if side and any(sizes_of(network).padding(side, side)):
        raise ValueError(
            f'datasets.train.gt_size: {name} takes inputs of {sizes_of(network)}; crops of '
            f'{side * scale} px give it {side} px. Use a larger crop that fits.'
        )
