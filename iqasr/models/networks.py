"""Networks as an option file asks for them, with their pretrained weights."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.archs.sizes import require_sizes, sizes_of
from iqasr.archs.spandrel_networks import network_of
from iqasr.models.tiling import restore_tiled
from iqasr.options.sections import RECOGNISED, Options
from iqasr.pretrained import locate_weights
from iqasr.registry import ARCH_REGISTRY, build
from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.weights import load_file, load_network, parameters_in

logger = logging.getLogger('iqasr')


def build_generator(options: Options) -> nn.Module:
    """Build the generator of an option file and load its pretrained weights.

    A generator that is not described is recognised from its weights; ``options.network_g`` then
    says which one it is.

    Raises:
        CheckpointError: If the weights are missing, damaged, or of another network.
        ValueError: If weights are not recognised, or the generator does not fit the data.
    """
    path = options.path
    network, options.network_g = build_network(
        'network_g',
        options.network_g,
        path.pretrain_network_g,
        key=path.param_key_g,
        strict=path.strict_load_g,
    )
    require_sizes(network, options.network_g)
    sections = options.datasets.values()
    check_generator(
        network,
        options.network_g,
        scale=options.scale,
        luma=any(section.get('color') == 'y' for section in sections),
        crop=options.train_set.get('gt_size'),
    )
    return network


def build_discriminator(options: Options) -> nn.Module:
    """Build the discriminator of an option file and load its pretrained weights.

    Raises:
        CheckpointError: If the weights are missing, damaged, or of another network.
        ValueError: If it judges images of another size than the crops.
    """
    path, crop = options.path, options.train_set.get('gt_size')
    network, _ = build_network(
        'network_d',
        options.network_d,
        path.pretrain_network_d,
        key=path.param_key_d,
        strict=path.strict_load_d,
    )
    own = getattr(network, 'input_size', None)
    if own is not None and crop is not None and own != crop:
        raise ValueError(
            f'network_d: {type(network).__name__} judges images of {own} px, but '
            f'datasets.train.gt_size is {crop}. Change one of them, or the network.'
        )
    return network


def build_network(
    label: str, section: Mapping[str, Any], weights: str | None, *, key: str, strict: bool
) -> tuple[nn.Module, dict[str, Any]]:
    """Build a network and load weights.

    Args:
        label: ``network_g`` or ``network_d``, for messages.
        section: What to build; `RECOGNISED` for the network that the weights are of.
        weights: File of the weights, ``.pth`` or ``.safetensors``, or their name; None for random
            ones.
        key: Which weights of the file to take, ``params`` or ``params_ema``.
        strict: Refuse weights that do not fit exactly.

    Returns:
        The network, and its section.
    """
    if weights is not None:
        weights = str(locate_weights(weights))
    if section == RECOGNISED:
        network, section = network_of(parameters_in(load_file(weights), key, weights), weights)
        logger.info('%s holds: %s', weights, section)
    else:
        network = build(ARCH_REGISTRY, section)
        if weights is not None:
            load_pretrained(network, weights, key=key, strict=strict)
            logger.info('%s: weights of %s.', label, weights)
    count = sum(parameter.numel() for parameter in network.parameters())
    logger.info('%s: %s, %s parameters.', label, arch_name(section), f'{count:,}')
    return network, dict(section)


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


def check_generator(
    network: nn.Module, section: Mapping[str, Any], *, scale: int, luma: bool, crop: int | None
) -> None:
    """Check that a generator fits the data.

    Args:
        network: The generator.
        section: Its section.
        scale: How many times the data asks it to enlarge.
        luma: Whether images are luma alone.
        crop: Side of the crops of the training set, in pixels of the ground truth.

    Raises:
        ValueError: If it enlarges by another factor, or cannot take the crops.
    """
    name, found = arch_name(section), enlargement(network, 1 if luma else 3)
    if found != scale:
        raise ValueError(
            f'network_g: {name} enlarges {found:g} times, but the data is for scale {scale}. '
            f'Use a network for {scale} times, or scale: {found:g} and data made for it.'
        )
    side = (crop or 0) // scale
    if side and any(sizes_of(network).padding(side, side)):
        raise ValueError(
            f'datasets.train.gt_size: {name} takes inputs of {sizes_of(network)}; crops of '
            f'{side * scale} px give it {side} px. Use a larger crop that fits.'
        )


class Restorer:
    """Restores images of any size with a generator, in tiles if so asked.

    Args:
        scale: How many times the generator enlarges.
        tile_px: Side of the tiles, in pixels of the input; None restores images whole.
        tile_overlap_px: Pixels seen beyond each side of a tile.
    """

    def __init__(self, scale: int, tile_px: int | None = None, tile_overlap_px: int = 32) -> None:
        self.scale, self.tile_px, self.tile_overlap_px = scale, tile_px, tile_overlap_px

    @torch.no_grad()
    def __call__(self, network: nn.Module, lq: Tensor) -> Tensor:
        """Restore in evaluation mode; the network's own mode stays as it is.

        Args:
            network: The generator.
            lq: :math:`(N, 3, H, W)` RGB in [0, 1], any size.

        Returns:
            :math:`(N, 3, sH, sW)` RGB, not clamped.
        """
        training = network.training
        network.eval()
        if self.tile_px is None:
            output = restore_whole(network, lq, self.scale)
        else:
            output = restore_tiled(
                lambda tile: restore_whole(network, tile, self.scale),
                lq,
                scale=self.scale,
                tile_px=self.tile_px,
                overlap_px=self.tile_overlap_px,
            )
        network.train(training)
        return output


def restore_whole(network: nn.Module, lq: Tensor, scale: int) -> Tensor:
    """Restore images, padded to a size that the network takes."""
    height, width = lq.shape[-2:]
    rows, columns = sizes_of(network).padding(height, width)
    mode = 'reflect' if columns < width and rows < height else 'replicate'
    return network(F.pad(lq, (0, columns, 0, rows), mode))[..., : height * scale, : width * scale]
