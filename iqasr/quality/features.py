"""Features that full-reference scorers compare: AlexNet's and VGG16's, stage by stage.

Source:
    Krizhevsky (2014), One weird trick for parallelizing convolutional neural networks, arXiv
    1404.5997; Simonyan and Zisserman (2015), Very deep convolutional networks for large-scale image
    recognition, ICLR. Both in the form of torchvision; written here.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels of ImageNet, by which its networks expect images to be normalised."""


class Standardisation(nn.Module):
    """Subtracts the mean of ImageNet's pixels and divides by their standard deviation."""

    def __init__(self) -> None:
        super().__init__()
        for name, values in (('mean', MEAN), ('spread', SPREAD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Standardise images, :math:`(N, 3, H, W)` RGB in [0, 1]."""
        return (image - self.mean) / self.spread


class Blur(nn.Module):
    """Smooths by the binomial filter (1, 2, 1) in both directions, and halves the resolution.

    Source:
        Zhang (2019), Making convolutional networks shift-invariant again, ICML; with two pixels of
        reflection at each side, as in ST-LPIPS.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Halve features, :math:`(N, C, H, W)`, to :math:`(N, C, H // 2 + 1, W // 2 + 1)`."""
        return smooth(F.pad(x, (2, 2, 2, 2), 'reflect'))


class L2Pool(nn.Module):
    """Root of the smoothed squares, at half the resolution.

    Source:
        Hénaff and Simoncelli (2016), Geodesics of learned representations, ICLR; as in DISTS.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Halve features, :math:`(N, C, H, W)`."""
        return (smooth(F.pad(x.square(), (1, 1, 1, 1))) + 1e-12).sqrt()


def smooth(x: Tensor) -> Tensor:
    """Apply the binomial filter (1, 2, 1) at every other place, without padding."""
    line = 0.5 - (torch.arange(3, device=x.device, dtype=x.dtype) - 1).abs() / 4
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, stride=2, groups=x.shape[1])


def build_vgg16(weights: Mapping[str, Tensor], pool: Sequence[nn.Module]) -> nn.ModuleList:
    """Build the five stages of VGG16, each of which ends before a pooling.

    Args:
        weights: Those of its 13 convolutions, see `read_convolutions`.
        pool: What halves the resolution between stages.
    """
    layers = iter(read_convolutions(weights))
    stages = []
    for number, count in enumerate((2, 2, 3, 3, 3)):
        pairs = [(next(layers), nn.ReLU(inplace=True)) for _ in range(count)]
        before = pool if number else [Standardisation()]
        stages.append(nn.Sequential(*before, *itertools.chain(*pairs)))
    return nn.ModuleList(stages)


def build_alexnet(weights: Mapping[str, Tensor], *, blurred: bool = False) -> nn.ModuleList:
    """Build the five stages of AlexNet, each of which ends after a convolution.

    Args:
        weights: Those of its five convolutions, see `read_convolutions`.
        blurred: Blur before each halving, as ST-LPIPS does, instead of strides alone.
    """
    first, *others = read_convolutions(weights)
    first.stride, first.padding = ((1, 1) if blurred else (4, 4)), (2, 2)
    pool = [nn.MaxPool2d(3, 1), Blur()] if blurred else [nn.MaxPool2d(3, 2)]
    stages = [[Standardisation(), first, *([Blur()] if blurred else [])]]
    stages += [[*before, layer] for before, layer in zip((pool, pool, (), ()), others, strict=True)]
    return nn.ModuleList(nn.Sequential(*stage, nn.ReLU(inplace=True)) for stage in stages)


def read_convolutions(weights: Mapping[str, Tensor]) -> list[nn.Conv2d]:
    """Build the convolutions of a network in their order, padded to keep the size of the image.

    Args:
        weights: By names such as ``features.3.weight``, with the number of the layer; what has no
            bias is no convolution.
    """
    names = [name.removesuffix('.bias') for name in weights if name.endswith('.bias')]
    layers = []
    for name in sorted(names, key=lambda name: int(name.split('.')[-1])):
        outputs, inputs, size, _ = weights[f'{name}.weight'].shape
        layers.append(nn.Conv2d(inputs, outputs, size, padding=size // 2))
        layers[-1].load_state_dict({p: weights[f'{name}.{p}'] for p in ('weight', 'bias')})
    return layers


def paired_features(
    stages: nn.ModuleList, image: Tensor, reference: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Compute the features of two batches of images, one stage after the other.

    Args:
        stages: Of a network.
        image: :math:`(N, 3, H, W)` RGB in [0, 1].
        reference: Alike; its features have no gradient.

    Yields:
        Features of both after each stage.
    """
    x, y = image, reference.detach()
    for stage in stages:
        x = stage(x)
        with torch.no_grad():
            y = stage(y)
        yield x, y
