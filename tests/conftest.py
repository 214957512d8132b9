"""Small real data and small real option files, shared by the tests."""

import copy
import logging
import os
import shutil
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import yaml

import iqasr  # noqa: F401  (lets the tests import basicsr with any torchvision)
from iqasr.data.candidates.hggt import ANNOTATORS, write_votes
from iqasr.sampling.labels import Label

torch.set_num_threads(1)


def write_pairs(folder: Path, images: list[np.ndarray], scale: int = 4) -> Path:
    """Write ground truths (RGB) and their reductions as `folder`/{gt,lq}."""
    for number, image in enumerate(images):
        for name, side in (('gt', 1), ('lq', scale)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            size = (image.shape[1] // side, image.shape[0] // side)
            reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / name / f'{number:02d}.png'), reduced[..., ::-1])
    return folder


@pytest.fixture(autouse=True)
def fresh_logging():
    """Undo what a command, or a model built by BasicSR, does to the loggers."""
    yield
    from basicsr.utils.logger import initialized_logger

    for name in ('iqasr', 'basicsr'):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate, logger.parent = [], True, logging.getLogger()
        logger.setLevel(logging.NOTSET)
    initialized_logger.clear()


@pytest.fixture(scope='module')
def random_weights():
    """Build scorers with the random weights of tests/random_weights.py, not with those fetched."""
    import random_weights

    with pytest.MonkeyPatch.context() as patch:
        for load in ('dists.load_weights', 'lpips.load_weights', 'nima.load_file'):
            patch.setattr(f'iqasr.quality.{load}', random_weights.random_weights)
        patch.setattr('iqasr.quality.nima.locate_weights', lambda name: name)
        yield random_weights.random_weights


@pytest.fixture
def vgg(monkeypatch):
    """Give each perceptual loss a VGG19 of its own, see tests/random_weights.py; returns one."""
    from basicsr.archs import vgg_arch
    from random_weights import VGG19

    monkeypatch.setattr(vgg_arch.vgg, 'vgg19', lambda **_: VGG19())
    monkeypatch.setattr('iqasr.losses.pretrained_features.missing_features', lambda _: None)
    return VGG19()


@pytest.fixture(scope='session')
def photographs() -> list[np.ndarray]:
    """Ten (96, 96, 3) uint8 RGB pieces of real photographs."""
    sources = [skimage.data.astronaut(), skimage.data.coffee()]
    corners = [(40 + 60 * i, 90 + 50 * i) for i in range(5)]
    return [np.ascontiguousarray(s[y : y + 96, x : x + 96]) for s in sources for y, x in corners]


@pytest.fixture(scope='session')
def pairs(photographs, tmp_path_factory) -> Path:
    """A paired data set, scale 4."""
    return write_pairs(tmp_path_factory.mktemp('pairs'), photographs)


@pytest.fixture(scope='session')
def candidates(photographs, tmp_path_factory) -> Path:
    """A multi-GT set of ten groups: original, a sharpened and a blurred version."""
    folder = tmp_path_factory.mktemp('candidates')
    for number, image in enumerate(photographs):
        blurred = cv2.GaussianBlur(image, (0, 0), 1.5)
        sharpened = cv2.addWeighted(image, 1.6, blurred, -0.6, 0)
        for name, version in (('original', image), ('01', sharpened), ('02', blurred)):
            (folder / name).mkdir(exist_ok=True)
            suffix = '' if name == 'original' else f'_{name}'
            cv2.imwrite(str(folder / name / f'{number:02d}{suffix}.png'), version[..., ::-1])
    return folder


LABELS = [
    {'01': Label.POSITIVE, '02': Label.NEGATIVE, '03': Label.POSITIVE},
    {'01': Label.SIMILAR, '02': Label.POSITIVE, '03': Label.NEGATIVE},
    {'01': Label.NEGATIVE, '02': Label.SIMILAR, '03': Label.NEGATIVE},
]


@pytest.fixture
def labelled_set(photographs, tmp_path) -> Path:
    """A set in the shape of Test-100; the last of its three images has no positive."""
    root = tmp_path / 'Test-100'
    for number, votes in enumerate(LABELS):
        name, image = f'0{number}_a-{number}', photographs[number]
        versions = {'original': image} | {
            kind: cv2.convertScaleAbs(image, alpha=0.8 + int(kind) / 10) for kind in votes
        }
        versions['lq'] = cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA)
        for kind, version in versions.items():
            folder = root / 'lq' if kind == 'lq' else root / 'images' / kind
            folder.mkdir(parents=True, exist_ok=True)
            ending = f'_{kind}' if kind in votes else ''
            cv2.imwrite(str(folder / f'{name}{ending}.png'), version)
        for who in ANNOTATORS:
            (root / 'labels' / who).mkdir(parents=True, exist_ok=True)
            write_votes(str(root / 'labels' / who / f'{name}.json'), name, votes)
    return root


BASE = {
    'name': 'tiny',
    'scale': 4,
    'num_gpu': 0,
    'manual_seed': 0,
    'network_g': {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 4},
    'train': {
        'total_iter': 6,
        'ema_decay': 0.9,
        'optim_g': {'type': 'Adam', 'lr': 1e-3},
        'pixel_opt': {'type': 'L1Loss'},
    },
    'logger': {'print_freq': 1, 'save_checkpoint_freq': 3, 'use_tb_logger': False},
}


@pytest.fixture
def paired_options(pairs, tmp_path) -> dict:
    """Options that train on `pairs`; experiments go to `tmp_path`."""
    options = copy.deepcopy(BASE)
    data = {
        'type': 'PairedImageDataset',
        'dataroot_gt': str(pairs / 'gt'),
        'dataroot_lq': str(pairs / 'lq'),
    }
    training = {'gt_size': 32, 'use_hflip': True, 'use_rot': True, 'batch_size_per_gpu': 2}
    options['datasets'] = {
        'train': data | training,
        'val': data | {'name': 'pieces'},
    }
    options['val'] = {
        'val_freq': 3,
        'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 4}},
    }
    options['path'] = {'root': str(tmp_path)}
    return options


@pytest.fixture
def candidate_options(candidates, tmp_path) -> dict:
    """Options that train on `candidates`, with degradation, pool and a discriminator."""
    options = copy.deepcopy(BASE)
    options['datasets'] = {
        'train': {
            'type': 'MultiGTDataset',
            'dataroot_gt': str(candidates),
            'gt_size': 32,
            'margin': 32,
            'batch_size_per_gpu': 2,
            'sampling': {'type': 'UniformSampler', 'candidates': 'all'},
            'degradation': {'type': 'FirstOrderDegradation'},
            'queue_size': 4,
        }
    }
    options['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    options['train']['optim_d'] = {'type': 'Adam', 'lr': 1e-3}
    options['train']['gan_opt'] = {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1}
    options['path'] = {'root': str(tmp_path)}
    return options


@pytest.fixture
def write_options(tmp_path):
    """Write options to an option file and return its path."""

    def write(options: dict, name: str = 'options.yml') -> str:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(options, sort_keys=False))
        return str(path)

    return write


@pytest.fixture
def train(write_options):
    """Train as the command does, in this process; returns the exit code."""
    from iqasr.training.commands import train_command

    def run(options: dict, *flags: str) -> int:
        return train_command(['-opt', write_options(options), *flags])

    return run


@pytest.fixture
def weights_of():
    """Load the weights a run has saved."""

    def load(options: dict, iteration: int | str, network: str = 'net_g', key: str = 'params'):
        folder = Path(options['path']['root']) / 'experiments' / options['name'] / 'models'
        return torch.load(folder / f'{network}_{iteration}.pth', weights_only=True)[key]

    return load


def assert_same_weights(first: dict, second: dict) -> None:
    """Assert that two state dicts are bit-identical."""
    assert first.keys() == second.keys()
    differing = [key for key in first if not torch.equal(first[key], second[key])]
    assert differing == []


@pytest.fixture
def same_weights():
    return assert_same_weights


@pytest.fixture(scope='session')
def browser():
    """A headless Chromium; tests that need one are skipped where there is none."""
    names = ('chromium', 'chromium-browser', 'google-chrome')
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = f'none of {", ".join(names)} is installed (Debian: apt-get install chromium)'
        (pytest.fail if os.environ.get('IQASR_REQUIRE_BROWSER') == '1' else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])


@pytest.fixture
def page(browser):
    """A fresh page, 1280 x 900; what it says on the console as an error fails the test."""
    page = browser.new_page(viewport={'width': 1280, 'height': 900})
    errors = []
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('console', lambda said: errors.append(said.text) if said.type == 'error' else None)
    yield page
    page.close()
    assert errors == []
