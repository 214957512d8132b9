"""Networks as an option file asks for them, with their pretrained weights."""

import logging

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.archs.sizes import require_sizes, sizes_of
from iqasr.archs.spandrel_networks import network_of
from iqasr.models.tiling import restore_tiled
from iqasr.options.sections import RECOGNISED, Options
from iqasr.registry import ARCH_REGISTRY, build
from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.weights import load_file, load_network, parameters_in

logger = logging.getLogger('iqasr')


def build_network(options: Options, which: str) -> nn.Module:
    """Build a network and load its pretrained weights.

    A generator of which nothing is said is recognised from its weights; ``options.network_g`` then
    says what it is.

    Args:
        options: The checked option file.
        which: ``g``, the generator, or ``d``, the discriminator.

    Raises:
        CheckpointError: If the weights are missing, damaged, or of another network.
        ValueError: If weights are not recognised, or the generator does not fit the data.
    """
    section, path = getattr(options, f'network_{which}'), options.path
    pretrained = getattr(path, f'pretrain_network_{which}')
    key, strict = getattr(path, f'param_key_{which}'), getattr(path, f'strict_load_{which}')
    if section == RECOGNISED:
        network, options.network_g = network_of(
            parameters_in(load_file(pretrained), key, pretrained), pretrained
        )
        section = options.network_g
        logger.info('%s holds: %s', pretrained, section)
    else:
        network = build(ARCH_REGISTRY, section)
        if pretrained is not None:
            load_pretrained(network, pretrained, key=key, strict=strict)
            logger.info('network_%s: weights of %s.', which, pretrained)
    if which == 'g':
        require_sizes(network, section)
        check_network(network, options)
    else:
        check_discriminator(network, options)
    count = sum(parameter.numel() for parameter in network.parameters())
    name = section.get('arch', section['type'])
    logger.info('network_%s: %s, %s parameters.', which, name, f'{count:,}')
    return network


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
            f'{error} The file is recognised as {section.get("arch", section["type"])}, '
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


def check_network(network: nn.Module, options: Options) -> None:
    """Check that a generator fits the data.

    Raises:
        ValueError: If it enlarges by another factor, or cannot take the crops of the training set.
    """
    name = options.network_g.get('arch', options.network_g['type'])
    luma = any(section.get('color') == 'y' for section in options.datasets.values())
    found, scale = enlargement(network, 1 if luma else 3), options.scale
    if found != scale:
        raise ValueError(
            f'network_g: {name} enlarges {found:g} times, but the data is for scale {scale}. '
            f'Use a network for {scale} times, or scale: {found:g} and data made for it.'
        )
    for section in options.datasets_of('train').values():
        side = (section.get('gt_size') or 0) // scale
        if side and any(sizes_of(network).padding(side, side)):
            raise ValueError(
                f'datasets.train.gt_size: {name} takes inputs of {sizes_of(network)}; crops of '
                f'{side * scale} px give it {side} px. Use a larger crop that fits.'
            )


def check_discriminator(network: nn.Module, options: Options) -> None:
    """Check that a discriminator for images of one size gets crops of that size.

    Raises:
        ValueError: If it does not.
    """
    own, crop = getattr(network, 'input_size', None), options.datasets['train'].get('gt_size')
    if own is not None and crop is not None and own != crop:
        raise ValueError(
            f'network_d: {type(network).__name__} judges images of {own} px, but '
            f'datasets.train.gt_size is {crop}. Change one of them, or the network.'
        )


@torch.no_grad()
def restore(network: nn.Module, lq: Tensor, options: Options) -> Tensor:
    """Restore images of any size with a generator, in evaluation mode; in tiles, if so asked.

    Args:
        network: The generator; its mode stays as it is.
        lq: :math:`(N, 3, H, W)` RGB in [0, 1], any size.
        options: The checked option file.

    Returns:
        :math:`(N, 3, sH, sW)` RGB, not clamped.
    """
    training = network.training
    network.eval()
    scale, val = options.scale, options.val
    if val.tile_px is None:
        output = restore_whole(network, lq, scale)
    else:
        output = restore_tiled(
            lambda tile: restore_whole(network, tile, scale),
            lq,
            scale=scale,
            tile_px=val.tile_px,
            overlap_px=val.tile_overlap_px,
        )
    network.train(training)
    return output


def restore_whole(network: nn.Module, lq: Tensor, scale: int) -> Tensor:
    """Restore images, padded to a size that the network takes."""
    height, width = lq.shape[-2:]
    rows, columns = sizes_of(network).padding(height, width)
    mode = 'reflect' if columns < width and rows < height else 'replicate'
    return network(F.pad(lq, (0, columns, 0, rows), mode))[..., : height * scale, : width * scale]
