"""waifu2x's CUNet: against spandrel's U-Nets of that kind, its sizes, and how it is recognised."""

import numpy as np
import pytest
import torch
from torch import nn

from iqasr.archs.spandrel_networks import network_of
from iqasr.archs.waifu2x_cunet import CUNet
from iqasr.models.networks import open_network
from iqasr.models.restorer import restore_whole
from iqasr.models.tiling import restore_tiled
from iqasr.registry import ARCH_REGISTRY


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return CUNet().eval().requires_grad_(False)


def image_of(height, width, seed=1):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def blind(network):
    """Make the gates of a network constant, so that it sees only what is near."""
    blinded = CUNet().eval().requires_grad_(False)
    blinded.load_state_dict(network.state_dict())
    for name, layer in blinded.named_modules():
        if name.endswith('seblock.conv2'):
            layer.weight.zero_()
    return blinded


@pytest.mark.parametrize(('height', 'width'), [(32, 32), (35, 50)])
def test_it_is_a_cascade_of_the_u_nets_of_spandrel(height, width, network):
    from spandrel.architectures.RealCUGAN.__arch.upcunet_v3 import UNet1, UNet2

    lq = image_of(height, width)
    around = ((0, 0), (0, 0), (28, 28 + -height % 4), (28, 28 + -width % 4))
    padded = torch.from_numpy(np.pad(lq.numpy(), around, 'reflect'))
    first, second = UNet1(3, 3, deconv=False), UNet2(3, 3, deconv=False)
    first.load_state_dict(network.unet1.state_dict())
    second.load_state_dict(network.unet2.state_dict())
    with torch.no_grad():
        rough = first(padded)
        expected = rough[..., 20:-20, 20:-20] + second(rough)
    output = network(lq)
    assert output.shape == lq.shape
    assert torch.allclose(output, expected[..., :height, :width], atol=1e-5)


def test_pictures_of_any_size_are_restored(network):
    for height, width in ((5, 90), (33, 47)):
        assert restore_whole(network, image_of(height, width), 1).shape == (1, 3, height, width)


def test_without_its_gates_it_sees_less_than_32_pixels_far(network):
    lq = image_of(120, 112)
    lq[..., :56] *= 0.1  # so that tiles differ on average
    near, seeing = (
        (net(lq) - restore_tiled(net, lq, scale=1, tile_px=40, overlap_px=32)).abs().max()
        for net in (blind(network), network)
    )
    assert near < 1e-5
    assert seeing > 1e-3


def test_every_weight_is_trained():
    network = CUNet()
    network(image_of(32, 36)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_its_weights_are_recognised(network, tmp_path, same_weights):
    found, section = network_of(network.state_dict(), 'net.pth')
    assert section == {'type': 'CUNet'}
    same_weights(found.state_dict(), network.state_dict())
    torch.save({'params_ema': network.state_dict()}, tmp_path / 'net.pth')
    opened, scale = open_network(tmp_path / 'net.pth')
    assert scale == 1
    lq = image_of(40, 33)
    assert torch.equal(opened(lq), network(lq))


def test_those_of_its_likes_are_left_to_spandrel():
    from spandrel.architectures.RealCUGAN import UpCunet2x

    weights = UpCunet2x(in_channels=3, out_channels=3).state_dict()
    assert CUNet.options_of(weights) is None
    _, section = network_of(weights, 'net.pth')
    assert (section['type'], section['arch']) == ('spandrel', 'UpCunet2x')


def test_any_registered_network_can_know_its_weights(monkeypatch):
    class Wide(nn.Module):
        """A layer that can be of any width."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.own_layer = nn.Conv2d(3, width, 1)

        @classmethod
        def options_of(cls, weights):
            layer = weights.get('own_layer.weight')
            return None if layer is None else {'width': len(layer)}

    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'Wide', Wide)
    weights = Wide(5).state_dict()
    network, section = network_of(weights, 'net.pth')
    assert section == {'type': 'Wide', 'width': 5}
    assert torch.equal(network.own_layer.weight, weights['own_layer.weight'])
