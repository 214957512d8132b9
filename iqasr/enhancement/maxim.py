"""Enhancement by MAXIM: graphs of TensorFlow, which is imported only when one is built.

Source:
    Tu et al. (2022), MAXIM: Multi-axis MLP for image processing, CVPR;
    https://github.com/google-research/maxim. The graphs are those of UpscalerJS.
"""

import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from iqasr.degradation import from_uint8, to_uint8
from iqasr.enhancement.base import Enhancer
from iqasr.enhancement.network_enhancer import hash_weights
from iqasr.models.tiling import restore_tiled
from iqasr.pretrained import load_weights
from iqasr.pretrained.tfjs import TOPOLOGY
from iqasr.registry import ENHANCER_REGISTRY
from iqasr.runtime.errors import CheckpointError

INPUT, OUTPUT = 'xs_0:0', 'Identity:0'
"""Tensors of the graphs: ``(N, H, W, 3)`` RGB in [0, 1], the output not clamped."""

MULTIPLE = 64
"""Sides that the graphs take are multiples of it."""

Graph = Callable[[np.ndarray], np.ndarray]
"""From ``(1, H, W, 3)`` float32, of sides that are multiples of `MULTIPLE`, to the same shape."""


@ENHANCER_REGISTRY.register()
class MaximEnhancer(Enhancer):
    """Enhances by one of the networks of MAXIM, on the CPU; needs ``pip install 'iqasr[maxim]'``.

    The networks see all of their input, so that other tiles give slightly another result.

    Args:
        task: What it does: ``retouching`` (trained on FiveK) brightens and colours as a retoucher
            would, ``denoising`` (SIDD) removes the noise of cameras, ``deblurring`` (GoPro) the
            blur of motion, ``enhancement`` (LOL) lightens dark photographs. The weights are
            ``maxim-<task>``.
        tile_px: Side of the tiles in which a photograph is enhanced, in pixels, >= 1; smaller ones
            need less memory.
        overlap_px: Margin added to each side of a tile, in pixels, >= 0. What the network sees is
            padded by reflection to a multiple of 64.

    Raises:
        ValueError: If a number is out of range.
        CheckpointError: If TensorFlow is not installed.
        MissingWeightsError: If the weights are not here and cannot be fetched.
    """

    def __init__(
        self,
        *,
        task: Literal['retouching', 'denoising', 'deblurring', 'enhancement'] = 'retouching',
        tile_px: int = 512,
        overlap_px: int = 32,
    ) -> None:
        if tile_px < 1 or overlap_px < 0:
            raise ValueError(
                f'tile_px {tile_px}, overlap_px {overlap_px}: tiles need at least 1, the overlap '
                'at least 0.'
            )
        tensorflow = import_tensorflow()
        weights = load_weights(f'maxim-{task}')
        self.task = task
        self.tiles = {'tile_px': tile_px, 'overlap_px': overlap_px}
        self.version = hash_weights(weights)
        self.graph = open_graph(tensorflow, weights)

    @property
    def name(self) -> str:
        """Name of the weights."""
        return f'maxim-{self.task}'

    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Enhance; see `Enhancer.enhance`."""
        pixels = torch.from_numpy(np.ascontiguousarray(photograph.transpose(2, 0, 1)))
        output = restore_tiled(self.restore, from_uint8(pixels)[None], scale=1, **self.tiles)
        return to_uint8(output[0]).permute(1, 2, 0).numpy()

    def restore(self, image: Tensor) -> Tensor:
        """Run the graph on an image, padded to a size that it takes.

        Args:
            image: :math:`(1, 3, H, W)` RGB in [0, 1], any size.

        Returns:
            The same shape, not clamped.
        """
        height, width = image.shape[-2:]
        beyond = ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
        padded = np.pad(image.permute(0, 2, 3, 1).numpy(), beyond, 'reflect')
        return torch.from_numpy(self.graph(padded))[:, :height, :width].permute(0, 3, 1, 2)


def import_tensorflow() -> ModuleType:
    """Import TensorFlow without what it says on the way.

    Raises:
        CheckpointError: If it is not installed.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    try:
        import tensorflow
    except ImportError as error:
        raise CheckpointError(
            f'MaximEnhancer needs TensorFlow ({error}): pip install "iqasr[maxim]".'
        ) from error
    tensorflow.get_logger().setLevel('ERROR')
    return tensorflow


def open_graph(tensorflow: ModuleType, weights: Mapping[str, Tensor]) -> Graph:
    """Make a function of a graph, on as many threads of the CPU as torch uses.

    Args:
        tensorflow: The package.
        weights: Constants by the names of their nodes, and the `TOPOLOGY`.
    """
    from google.protobuf import json_format

    v1 = tensorflow.compat.v1
    topology = bytes(weights[TOPOLOGY].numpy())
    # The converter leaves empty fields in the nodes that a GraphDef does not have.
    definition = json_format.Parse(topology, v1.GraphDef(), ignore_unknown_fields=True)
    for node in definition.node:
        if node.op == 'Const':
            constant = tensorflow.make_tensor_proto(weights[node.name].numpy())
            node.attr['value'].tensor.CopyFrom(constant)
    with tensorflow.Graph().as_default() as graph:
        tensorflow.graph_util.import_graph_def(definition, name='')
    settings = v1.ConfigProto(
        intra_op_parallelism_threads=torch.get_num_threads(),
        inter_op_parallelism_threads=1,
        device_count={'GPU': 0},
    )
    # Optimising tens of thousands of nodes takes longer than it saves.
    settings.graph_options.rewrite_options.disable_meta_optimizer = True
    return v1.Session(graph=graph, config=settings).make_callable(OUTPUT, [INPUT])
