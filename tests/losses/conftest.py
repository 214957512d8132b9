"""VGG19, an eighth as wide, with random weights in place of torchvision's file."""

import pytest
from basicsr.archs import vgg_arch
from random_weights import VGG19


@pytest.fixture
def vgg(monkeypatch):
    """Give each loss a network of its own; returns one like them."""
    monkeypatch.setattr(vgg_arch.vgg, 'vgg19', lambda **_: VGG19())
    return VGG19()
