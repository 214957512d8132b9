"""VGG19, an eighth as wide, with random weights in place of torchvision's file."""

import pytest
import torch
from basicsr.archs import vgg_arch
from torch import nn
from torchvision.models import vgg as torchvision_vgg


class Features(nn.Module):
    """What perceptual losses take from torchvision's VGG19; the same weights each time."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        widths = [w if w == 'M' else w // 8 for w in torchvision_vgg.cfgs['E']]
        self.features = torchvision_vgg.make_layers(widths)


@pytest.fixture
def vgg(monkeypatch):
    """Give each loss a network of its own; returns one like them."""
    monkeypatch.setattr(vgg_arch.vgg, 'vgg19', lambda **_: Features())
    return Features()
