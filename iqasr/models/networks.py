"""Networks as an option file asks for them, with their pretrained weights."""

import logging

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.checkpoint import load_network
from iqasr.models.tiling import restore_tiled
from iqasr.options import Options
from iqasr.registry import ARCH_REGISTRY, build

logger = logging.getLogger('iqasr')


def build_network(options: Options, which: str) -> nn.Module:
    """Build a network and load its pretrained weights.

    Args:
        options: The checked option file.
        which: ``g``, the generator, or ``d``, the discriminator.

    Raises:
        CheckpointError: If the weights are missing, damaged, or of another network.
        ValueError: If the generator does not enlarge by ``scale``.
    """
    section, path = getattr(options, f'network_{which}'), options.path
    network = build(ARCH_REGISTRY, section)
    pretrained = getattr(path, f'pretrain_network_{which}')
    if pretrained is not None:
        key, strict = getattr(path, f'param_key_{which}'), getattr(path, f'strict_load_{which}')
        load_network(network, pretrained, key=key, strict=strict)
        logger.info('network_%s: weights of %s.', which, pretrained)
    if which == 'g':
        check_scale(network, options)
    count = sum(parameter.numel() for parameter in network.parameters())
    logger.info('network_%s: %s, %s parameters.', which, section['type'], f'{count:,}')
    return network


@torch.no_grad()
def check_scale(network: nn.Module, options: Options) -> None:
    """Restore a small image to see that the network enlarges as much as the data asks.

    Raises:
        ValueError: If it does not.
    """
    size = max(16, options.network_g.get('window_size', 1))
    found = network.eval()(torch.zeros(1, 3, size, size)).shape[-1] / size
    network.train()
    if found != options.scale:
        raise ValueError(f'network_g enlarges {found:g} times, but scale is {options.scale}.')


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
    window, scale, val = options.network_g.get('window_size', 1), options.scale, options.val
    if val.tile_px is None:
        output = restore_whole(network, lq, window, scale)
    else:
        output = restore_tiled(
            lambda tile: restore_whole(network, tile, window, scale),
            lq,
            scale=scale,
            tile_px=val.tile_px,
            overlap_px=val.tile_overlap_px,
        )
    network.train(training)
    return output


def restore_whole(network: nn.Module, lq: Tensor, window: int, scale: int) -> Tensor:
    """Restore images, padded to multiples of the window that attention works in."""
    height, width = lq.shape[-2:]
    padding = (0, -width % window, 0, -height % window)
    mode = 'reflect' if padding[1] < width and padding[3] < height else 'replicate'
    return network(F.pad(lq, padding, mode))[..., : height * scale, : width * scale]
