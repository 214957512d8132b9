"""Enhancement by networks, of scale 1 or larger."""

import hashlib
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.degradation import BicubicDegradation, from_uint8, to_uint8
from iqasr.enhancement.base import Enhancer
from iqasr.models.networks import open_network
from iqasr.models.restorer import restore_whole
from iqasr.models.tiling import restore_tiled
from iqasr.pretrained import locate_weights
from iqasr.registry import ENHANCER_REGISTRY


@ENHANCER_REGISTRY.register()
class NetworkEnhancer(Enhancer):
    """Enhances by a network.

    A network that enlarges gets the photograph bicubically reduced, by its scale or less, and its
    output is reduced by what is left, so that it has the size of the photograph.

    Args:
        weights: A test option file of a trained network, or weights (``.pth``, ``.safetensors``)
            whose architecture is recognised, or their name (``iqasr-weights list``).
        reduce: Factor by which the photograph is reduced before, a divisor of the network's scale;
            default the scale. A smaller one keeps more of the photograph, and costs more time.
        tile_px: Side of the tiles in which a photograph is restored, in pixels of the input, >= 1;
            smaller ones need less memory.
        overlap_px: Margin added to each side of a tile, in pixels, >= 0. If the receptive field of
            the network reaches no further, tiles give the same result as the whole photograph.
        batch: Most tiles per call, >= 1.

    Raises:
        ValueError: If a number is out of range, or the architecture is not recognised.
        CheckpointError: If the weights cannot be read.
    """

    def __init__(
        self,
        *,
        weights: str,
        reduce: int | None = None,
        tile_px: int = 384,
        overlap_px: int = 32,
        batch: int = 1,
    ) -> None:
        if tile_px < 1 or overlap_px < 0 or batch < 1:
            raise ValueError(
                f'tile_px {tile_px}, overlap_px {overlap_px}, batch {batch}: tiles and batches '
                'need at least 1, the overlap at least 0.'
            )
        self.path = locate_weights(weights)
        self.network, self.scale = open_network(self.path)
        factor = self.scale if reduce is None else reduce
        if factor < 1 or self.scale % factor:
            raise ValueError(
                f'reduce is {factor}; use a divisor of {self.scale}, by which {weights} enlarges.'
            )
        self.before = BicubicDegradation(scale=factor)
        self.after = BicubicDegradation(scale=self.scale // factor)
        self.tiles = {'tile_px': tile_px, 'overlap_px': overlap_px, 'batch': batch}
        self.device = torch.device('cpu')
        self.version = hash_weights(self.network.state_dict())

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.stem

    def to(self, device: torch.device) -> 'NetworkEnhancer':
        """Move the network to a device."""
        self.network.to(device)
        self.device = device
        return self

    @torch.no_grad()
    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Enhance; see `Enhancer.enhance`."""
        height, width = photograph.shape[:2]
        pixels = np.ascontiguousarray(photograph.transpose(2, 0, 1))
        image = from_uint8(torch.from_numpy(pixels).to(self.device))[None]
        restore = partial(restore_whole, self.network, scale=self.scale)
        output = restore_tiled(restore, self.input_of(image), scale=self.scale, **self.tiles)
        output = reduce_by(self.after, output)
        return to_uint8(output[0, :, :height, :width]).permute(1, 2, 0).cpu().numpy()

    def input_of(self, image: Tensor) -> Tensor:
        """Input for a photograph: reduced, after padding to a multiple of the factor."""
        height, width = image.shape[-2:]
        beyond = (0, -width % self.before.scale, 0, -height % self.before.scale)
        mode = 'reflect' if max(beyond) < min(height, width) else 'replicate'
        return reduce_by(self.before, F.pad(image, beyond, mode))


def reduce_by(degradation: BicubicDegradation, image: Tensor) -> Tensor:
    """Reduce an image; by 1, it stays as it is."""
    return image if degradation.scale == 1 else degradation(image, torch.Generator())


def hash_weights(weights: dict[str, Tensor]) -> str:
    """Hash weights with their names, types and shapes."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in weights.items():
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
