"""Networks as enhancers: of scale 1, or larger, fed a reduced photograph."""

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.degradation import BicubicDegradation, from_uint8, to_uint8
from iqasr.enhancement.base import Enhancer
from iqasr.models.network_files import open_network
from iqasr.models.networks import restore_whole
from iqasr.models.tiling import restore_tiled
from iqasr.registry import ENHANCER_REGISTRY
from iqasr.runtime.paths import resolve


@ENHANCER_REGISTRY.register()
class NetworkEnhancer(Enhancer):
    """Enhances by a network.

    One that enlarges is given the photograph bicubically reduced by as much, so that its output has
    the photograph's size.

    Args:
        weights: A test option file of a trained network; or weights (``.pth``, ``.safetensors``)
            whose architecture spandrel recognises.
        tile_px: Side of the tiles in which a photograph is restored, in pixels of the input; less
            needs less memory.
        overlap_px: Pixels seen beyond each side of a tile. Where the network looks no further,
            tiles give what the whole photograph would.
        batch: Most tiles per call.

    Raises:
        ValueError: If a number is out of range, or the weights are of no use; the message says what
            was recognised.
        CheckpointError: If the weights cannot be read.
    """

    def __init__(
        self, *, weights: str, tile_px: int = 384, overlap_px: int = 32, batch: int = 1
    ) -> None:
        if tile_px < 1 or overlap_px < 0 or batch < 1:
            raise ValueError(
                f'tile_px {tile_px}, overlap_px {overlap_px}, batch {batch}: tiles and batches '
                'need at least 1, the overlap at least 0.'
            )
        self.path = resolve(weights)
        self.network, self.scale = open_network(self.path)
        self.reduce = BicubicDegradation(scale=self.scale)
        self.tiles = {'tile_px': tile_px, 'overlap_px': overlap_px, 'batch': batch}
        self.device = torch.device('cpu')
        self.version = hash_of(self.network.state_dict())

    @property
    def name(self) -> str:
        """The name of the file."""
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
        output = restore_tiled(self.restore, self.input_of(image), scale=self.scale, **self.tiles)
        return to_uint8(output[0, :, :height, :width]).permute(1, 2, 0).cpu().numpy()

    def input_of(self, image: Tensor) -> Tensor:
        """Reduce a photograph, mirrored up to a multiple of the scale, by the scale."""
        if self.scale == 1:
            return image
        height, width = image.shape[-2:]
        beyond = (0, -width % self.scale, 0, -height % self.scale)
        mode = 'reflect' if max(beyond) < min(height, width) else 'replicate'
        return self.reduce(F.pad(image, beyond, mode), torch.Generator())

    def restore(self, tile: Tensor) -> Tensor:
        """Restore one tile or several."""
        return restore_whole(self.network, tile, self.scale)


def hash_of(weights: dict[str, Tensor]) -> str:
    """Hash weights, their names and types included."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in weights.items():
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
