"""Training steps of BasicSR's GAN models and of ours, with the same networks, losses and batch."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import vgg
from training_step import RRDB, SWINIR_M

from iqasr.models import RestorationModel
from iqasr.models.speed import CAPTURED, COMPILED
from iqasr.options.sections import Options, gather_terms
from iqasr.runtime.distributed import this_process
from iqasr.runtime.randomness import generator_at
from iqasr.training.opt import opt_of

NETWORKS = {
    'SRVGG-16': {'type': 'SRVGGNetCompact', 'num_conv': 16, 'upscale': 4},
    'RRDB-23': RRDB,
    'SwinIR-M': SWINIR_M,
}
LAYERS = {'conv1_2': 0.1, 'conv2_2': 0.1, 'conv3_4': 1, 'conv4_4': 1, 'conv5_4': 1}
ADAM = {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]}
TRAIN = {
    'ema_decay': 0.999,
    'optim_g': ADAM,
    'optim_d': dict(ADAM),
    'scheduler': {'type': 'MultiStepLR', 'milestones': [400000], 'gamma': 0.5},
    'pixel_opt': {'type': 'L1Loss'},
    'perceptual_opt': {'type': 'PerceptualLoss', 'layer_weights': LAYERS},
}
DISCRIMINATOR = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3}
GAN = {'gan_type': 'vanilla', 'loss_weight': 0.1}


class RandomFeatures(nn.Module):
    """What perceptual losses take from torchvision's VGG19; the same random weights each time."""

    def __init__(self, **_: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = vgg.make_layers(vgg.cfgs['E'])


@contextmanager
def with_random_features() -> Iterator[None]:
    """Let perceptual losses use a VGG19 with random weights, as nothing can be downloaded."""
    with (
        mock.patch('basicsr.archs.vgg_arch.vgg.vgg19', RandomFeatures),
        mock.patch('iqasr.losses.pretrained_features.missing_features', return_value=None),
    ):
        yield


def batch_of(count: int, side: int) -> dict[str, torch.Tensor]:
    """Make a random batch, on the device where there is one."""
    lq = torch.rand(count, 3, side, side, generator=generator_at(1))
    if torch.cuda.is_available():
        lq = lq.cuda()
    return {'lq': lq, 'gt': F.interpolate(lq, scale_factor=4)}


def stock_step(name: str, count: int, side: int, loss: str) -> Callable[[], Any]:
    """Build BasicSR's model; the relativistic loss is that of its ``ESRGANModel``."""
    from basicsr.models.esrgan_model import ESRGANModel  # needs iqasr to be imported first
    from basicsr.models.srgan_model import SRGANModel

    options = {
        'num_gpu': int(torch.cuda.is_available()),
        'dist': False, 'is_train': True, 'rank': 0, 'scale': 4, 'path': {},
        'network_g': copy.deepcopy(NETWORKS[name]), 'network_d': dict(DISCRIMINATOR),
        'train': copy.deepcopy(TRAIN) | {'gan_opt': {'type': 'GANLoss'} | GAN},
    }  # fmt: skip
    model = (SRGANModel if loss == 'GANLoss' else ESRGANModel)(options)
    model.feed_data(batch_of(count, side))
    return lambda: model.optimize_parameters(1)


def our_step(name: str, count: int, side: int, loss: str, version: str) -> Callable[[], Any]:
    """Build ours, as an option file would.

    Args:
        name: Of `NETWORKS`.
        count: Images of a batch.
        side: Their side in low quality, in pixels.
        loss: ``GANLoss`` or ``RelativisticGANLoss``.
        version: ``train.speed``, and, each after a plus sign, ``train.amp``, ``tf32`` (matrix
            products in it), and ``compiled`` or ``captured`` (without being timed first).
    """
    speed, *parts = version.split('+')
    amp = next((part for part in parts if part in ('bf16', 'fp16')), 'none')
    train = TRAIN | {'gan_opt': {'type': loss} | GAN, 'total_iter': 1000}
    train |= {'speed': speed, 'amp': amp}
    data = {
        'type': 'PairedImageDataset', 'gt_size': 4 * side, 'batch_size_per_gpu': count,
        'dataroot_gt': '-', 'dataroot_lq': '-',
    }  # fmt: skip
    options = Options(
        name='step', scale=4, datasets={'train': data}, network_g=dict(NETWORKS[name]),
        network_d=dict(DISCRIMINATOR), train=gather_terms(train),
    )  # fmt: skip
    process, root = this_process(use_gpu=True), Path('/benchmark/experiments/step')
    opt = opt_of(options, process, root, seed=0, is_train=True)
    layouts = dict.fromkeys(('net_g', 'net_d', 'perceptual'), speed)
    if 'compiled' in parts:
        layouts |= {'net_g': speed + COMPILED, 'net_d': speed + COMPILED}
    if 'captured' in parts:
        layouts['net_g'] = speed + CAPTURED
    given = mock.patch('iqasr.models.training_step.choose_layouts', return_value=layouts)
    with given if {'compiled', 'captured'} & set(parts) else nullcontext():
        model, batch = RestorationModel(opt), batch_of(count, side)
    precision = 'high' if 'tf32' in parts else 'highest'

    def step() -> None:
        torch.set_float32_matmul_precision(precision)
        model.feed_data(batch)
        model.optimize_parameters(1)
        torch.set_float32_matmul_precision('highest')

    return step
