"""Random weights of thin networks, in the form in which `iqasr.pretrained` gives the real ones."""

import functools
import itertools
import math

import torch
from torch import Generator, Tensor, nn
from torchvision.models import vgg

from iqasr.runtime.randomness import generator_at

VGG16 = [8, 8, 12, 12, 16, 16, 16, 24, 24, 24, 24, 24, 24]
ALEXNET = [16, 24, 32, 24, 24]
MOBILENET = [4, 8, 8, 8, 8, 12, 12, 16, 16, 16, 16, 16, 16, 20]
"""Channels after each convolution; after the first one and each block of MobileNet."""

LAYERS = {
    'vgg16': [f'features.{i}' for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)],
    'alexnet': [f'features.{i}' for i in (0, 3, 6, 8, 10)],
    'alex': [f'net.slice{i}' for i in ('1.0', '2.5', '3.9', '4.11', '5.13')],
    'vgg': [f'net.slice{i}' for i in ('1.0', '1.2', '2.6', '2.8', '3.12', '3.14', '3.16')]
    + [f'net.slice{i}' for i in ('4.20', '4.22', '4.24', '5.28', '5.30', '5.32')],
}
"""Names of convolutions; in the last two those of ST-LPIPS."""

COMPARED = {'alex': ALEXNET, 'vgg': [8, 12, 16, 24, 24]}
"""Channels of the features that are compared."""


@functools.cache
def random_weights(name: str) -> dict[str, Tensor]:
    """Draw the weights of a name, once; always the same."""
    generator = generator_at(f'weights of {name}')
    draw = {
        'vgg16': lambda generator: draw_network(generator, LAYERS['vgg16'], VGG16),
        'alexnet': lambda generator: draw_network(generator, LAYERS['alexnet'], ALEXNET, 11, 5),
        'lpips': draw_lpips,
        'stlpips': draw_stlpips,
        'dists': draw_dists,
        'nima': draw_mobilenet,
    }
    return draw[name](generator)


def draw_kernel(generator: Generator, outputs: int, inputs: int, size: int) -> Tensor:
    """Draw a kernel that keeps the variance of features under ReLU."""
    kernel = torch.randn(outputs, inputs, size, size, generator=generator)
    return math.sqrt(2 / (inputs * size**2)) * kernel


def draw_network(
    generator: Generator, names: list[str], widths: list[int], first: int = 3, second: int = 3
) -> dict[str, Tensor]:
    weights, sizes = {}, [first, second, *[3] * len(widths)]
    for name, inputs, outputs, size in zip(names, [3, *widths], widths, sizes, strict=False):
        weights[f'{name}.weight'] = draw_kernel(generator, outputs, inputs, size)
        weights[f'{name}.bias'] = 0.1 * torch.randn(outputs, generator=generator)
    return weights


def draw_lpips(generator: Generator) -> dict[str, Tensor]:
    return {
        f'{net}.lin{i}': torch.rand(1, width, 1, 1, generator=generator)
        for net, widths in COMPARED.items()
        for i, width in enumerate(widths)
    }


def draw_dists(generator: Generator) -> dict[str, Tensor]:
    channels = 3 + sum(COMPARED['vgg'])
    return {part: torch.rand(1, channels, 1, 1, generator=generator) for part in ('alpha', 'beta')}


def draw_stlpips(generator: Generator) -> dict[str, Tensor]:
    alex = draw_network(generator, LAYERS['alex'], ALEXNET, 11, 5)
    networks = {'alex': alex, 'vgg': draw_network(generator, LAYERS['vgg'], VGG16)}
    weights = {f'{net}.{k}': v for net, part in networks.items() for k, v in part.items()}
    return weights | {
        f'{name}.model.1.weight': head for name, head in draw_lpips(generator).items()
    }


def draw_mobilenet(generator: Generator) -> dict[str, Tensor]:
    shapes = {'conv1': (MOBILENET[0], 3, 3)}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(MOBILENET)):
        shapes |= {f'blocks.{i}.dw': (inputs, 1, 3), f'blocks.{i}.pw': (outputs, inputs, 1)}
    weights = {'head.weight': 0.3 * torch.randn(10, MOBILENET[-1], generator=generator)}
    weights['head.bias'] = torch.zeros(10)
    for name, shape in shapes.items():
        weights[f'{name}.weight'] = draw_kernel(generator, *shape)
        for part, least in (('weight', 0.8), ('bias', 0), ('running_mean', 0), ('running_var', 1)):
            values = least + 0.4 * torch.rand(shape[0], generator=generator)
            weights[f'{name}_bn.{part}'] = values
    return weights


class VGG19(nn.Module):
    """What perceptual losses take from torchvision's VGG19, an eighth as wide; always the same."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        widths = [w if w == 'M' else w // 8 for w in vgg.cfgs['E']]
        self.features = vgg.make_layers(widths)
