"""Networks stored by ncnn: its two files read, and their layers named as in PyTorch.

Source:
    https://github.com/Tencent/ncnn: ``src/net.cpp`` (the text ``.param``) and
    ``src/modelbin.cpp`` (the numbers, ``.bin``).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iqasr.runtime.errors import CheckpointError

MAGIC = '7767517'
FLOAT16, FLOAT32 = 0x01306B47, 0
"""How the weights of a convolution begin, little-endian."""

WITHOUT_WEIGHTS = {
    *('Input', 'Split', 'Concat', 'Eltwise', 'BinaryOp', 'Interp', 'PixelShuffle'),
    *('Swish', 'Sigmoid', 'ReLU', 'Crop', 'Pooling'),
}

CONVOLUTIONS = {'Convolution', 'Deconvolution'}
SCALE_BY_INPUT = '-233'
"""Size of a ``Scale`` that multiplies by another layer's output, and has no weights."""


@dataclass(frozen=True)
class Layer:
    """A layer that holds numbers."""

    kind: str
    """``Convolution``, ``Deconvolution``, ``InnerProduct``, ``PReLU`` or ``MemoryData``."""
    weight: Tensor
    """float32, as torch has it: :math:`(C_{out}, C_{in}, k, k)` of a convolution,
    :math:`(C_{in}, C_{out}, k, k)` of a transposed one, :math:`(C_{out}, C_{in})` of an inner
    product, (C,) of the others."""
    bias: Tensor | None = None
    """(C,), of the first three."""


class Numbers:
    """Reads a ``.bin`` from front to back."""

    def __init__(self, path: Path) -> None:
        self.path, self.content, self.position = path, path.read_bytes(), 0

    def take(self, count: int, kind: str = '<f4') -> Tensor:
        """Take numbers, padded to 4 bytes, as float32.

        Raises:
            CheckpointError: If the file ends before.
        """
        size = count * np.dtype(kind).itemsize
        block = self.content[self.position : self.position + size]
        if len(block) < size:
            raise CheckpointError(f'{self.path}: cut short at {len(self.content)} bytes.')
        self.position += size + -size % 4
        return torch.from_numpy(np.frombuffer(block, kind).astype(np.float32))

    def take_tagged(self, count: int) -> Tensor:
        """Take numbers whose kind is told by the four bytes before them.

        Raises:
            CheckpointError: If they are neither float16 nor float32.
        """
        tag = self.content[self.position : self.position + 4]
        kind = {struct.pack('<I', FLOAT16): '<f2', struct.pack('<I', FLOAT32): '<f4'}.get(tag)
        if kind is None:
            raise CheckpointError(f'{self.path}: holds weights of the unknown kind {tag.hex()}.')
        self.position += 4
        return self.take(count, kind)


def read_ncnn(param: Path, numbers: Path) -> list[Layer]:
    """Read the layers of a network that hold numbers, in their order.

    Args:
        param: Text that lists the layers, ``.param``.
        numbers: Their numbers, ``.bin``.

    Raises:
        CheckpointError: If one of them is damaged, or holds a kind of layer that is unknown here.
    """
    lines = param.read_text(encoding='utf-8', errors='replace').splitlines()
    if not lines or lines[0].strip() != MAGIC:
        raise CheckpointError(f'{param}: no text of ncnn; its first line is not {MAGIC}.')
    reader = Numbers(numbers)
    layers = list(layers_of(lines[2:], reader, param))
    left = len(reader.content) - reader.position
    if left > 0:
        raise CheckpointError(f'{numbers}: {left} bytes more than {param.name} asks for.')
    return layers


def layers_of(lines: list[str], reader: Numbers, param: Path) -> Iterator[Layer]:
    """Read layer after layer; see `read_ncnn`."""
    for line in lines:
        kind, _, inputs, outputs, *rest = line.split()
        words = rest[int(inputs) + int(outputs) :]
        options = dict(word.split('=', 1) for word in words)
        if kind in CONVOLUTIONS:
            channels, side, size = (int(options[key]) for key in ('0', '1', '6'))
            weight = reader.take_tagged(size).reshape(channels, -1, side, side)
            if kind == 'Deconvolution':
                weight = weight.transpose(0, 1).contiguous()
            yield Layer(kind, weight, reader.take(channels) if options.get('5') == '1' else None)
        elif kind == 'InnerProduct':
            channels, size = int(options['0']), int(options['2'])
            weight = reader.take_tagged(size).reshape(channels, -1)
            yield Layer(kind, weight, reader.take(channels) if options.get('1') == '1' else None)
        elif kind == 'PReLU':
            yield Layer(kind, reader.take(int(options['0'])))
        elif kind == 'MemoryData':
            sides = [int(options.get(key, 0)) or 1 for key in ('0', '1', '2')]
            yield Layer(kind, reader.take(int(np.prod(sides))))
        elif kind == 'Scale' and options.get('0') == SCALE_BY_INPUT:
            continue
        elif kind not in WITHOUT_WEIGHTS:
            raise CheckpointError(f'{param}: holds a layer of the unknown kind {kind}.')


def named(layers: list[Layer], names: list[str], path: Path) -> dict[str, Tensor]:
    """Name layers in their order.

    Raises:
        CheckpointError: If there are more or fewer layers than names.
    """
    if len(layers) != len(names):
        raise CheckpointError(f'{path}: {len(layers)} layers; expected {len(names)}.')
    weights = {}
    for name, layer in zip(names, layers, strict=True):
        weights[f'{name}.weight'] = layer.weight
        if layer.bias is not None:
            weights[f'{name}.bias'] = layer.bias
    return weights


def rrdbnet_of_ncnn(param: Path, numbers: Path) -> dict[str, Tensor]:
    """Name a Real-ESRGAN as BasicSR's ``RRDBNet`` with ``scale: 4`` does."""
    layers = read_ncnn(param, numbers)
    blocks = range((len(layers) - 6) // 15)
    names = [
        'conv_first',
        *(f'body.{b}.rdb{r}.conv{c}' for b in blocks for r in (1, 2, 3) for c in range(1, 6)),
        *('conv_body', 'conv_up1', 'conv_up2', 'conv_hr', 'conv_last'),
    ]
    return named(layers, names, param)


def srvgg_of_ncnn(param: Path, numbers: Path) -> dict[str, Tensor]:
    """Name a compact Real-ESRGAN as BasicSR's ``SRVGGNetCompact`` does."""
    layers = read_ncnn(param, numbers)
    return named(layers, [f'body.{number}' for number in range(len(layers))], param)


def span_of_ncnn(param: Path, numbers: Path) -> dict[str, Tensor]:
    """Name a SPAN as spandrel does, and undo the merging of its convolutions.

    ncnn holds one convolution where SPAN has a chain of three and a shortcut, which it merges for
    evaluation. Here the second of the chain holds it, in the first half of its channels; the other
    two pass it on and the shortcut is zero. That is the same function, in training as well.
    """
    layers = [layer for layer in read_ncnn(param, numbers) if layer.kind == 'Convolution']
    chains = [
        'conv_1',
        *(f'block_{b}.c{c}_r' for b in range(1, 7) for c in (1, 2, 3)),
        'conv_2',
    ]
    merged = named(layers, [*chains, 'conv_cat', 'upsampler.0'], param)
    weights = {}
    for name in chains:
        weights |= chain_of(name, merged.pop(f'{name}.weight'), merged.pop(f'{name}.bias'))
    return weights | merged


def cunet_of_ncnn(param: Path, numbers: Path) -> dict[str, Tensor]:
    """Name a CUNet of waifu2x as nunif does, its inner products as convolutions of a pixel."""
    plain = ('conv.0', 'conv.2')
    gated = (*plain, 'seblock.conv1', 'seblock.conv2')
    names = [
        *(f'unet1.conv1.{layer}' for layer in plain),
        'unet1.conv1_down',
        *(f'unet1.conv2.{layer}' for layer in gated),
        *('unet1.conv2_up', 'unet1.conv3', 'unet1.conv_bottom'),
        *(f'unet2.conv1.{layer}' for layer in plain),
        'unet2.conv1_down',
        *(f'unet2.conv2.{layer}' for layer in gated),
        'unet2.conv2_down',
        *(f'unet2.conv3.{layer}' for layer in gated),
        'unet2.conv3_up',
        *(f'unet2.conv4.{layer}' for layer in gated),
        *('unet2.conv4_up', 'unet2.conv5', 'unet2.conv_bottom'),
    ]
    weights = named(read_ncnn(param, numbers), names, param)
    return {k: v[..., None, None] if v.dim() == 2 else v for k, v in weights.items()}


def chain_of(name: str, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Write a 3x3 convolution as the ``Conv3XC`` of SPAN that computes the same."""
    outputs, inputs = weight.shape[:2]
    first = torch.zeros(2 * inputs, inputs, 1, 1)
    second = torch.zeros(2 * outputs, 2 * inputs, 3, 3)
    third = torch.zeros(outputs, 2 * outputs, 1, 1)
    first[:inputs, :, 0, 0] = torch.eye(inputs)
    second[:outputs, :inputs] = weight
    third[:, :outputs, 0, 0] = torch.eye(outputs)
    return {
        f'{name}.sk.weight': torch.zeros(outputs, inputs, 1, 1),
        f'{name}.sk.bias': torch.zeros(outputs),
        f'{name}.conv.0.weight': first,
        f'{name}.conv.0.bias': torch.zeros(2 * inputs),
        f'{name}.conv.1.weight': second,
        f'{name}.conv.1.bias': torch.zeros(2 * outputs),
        f'{name}.conv.2.weight': third,
        f'{name}.conv.2.bias': bias,
        f'{name}.eval_conv.weight': weight,
        f'{name}.eval_conv.bias': bias.clone(),
    }
