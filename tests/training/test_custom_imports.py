"""Classes that a user registers, as BasicSR's users write them, in runs of our trainer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]

MODULE = '''
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import (
    ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY)
from iqasr.quality import QualityScorer
from iqasr.registry import GT_SAMPLER_REGISTRY, SCORER_REGISTRY
from iqasr.sampling import ArgmaxSampler

@MODEL_REGISTRY.register()
class Ours_Modell(SRModel):
    def optimize_parameters(self, current_iter):
        super().optimize_parameters(current_iter)
        self.log_dict['scaled'] = self.log_dict['l_pix'] * self.opt['train']['alpha']

@DATASET_REGISTRY.register()
class DimmedDataset(torch.utils.data.Dataset):
    def __init__(self, opt):
        cfg = opt
        self.opt, self.alpha = opt, cfg['alpha']
        self.pairs = PairedImageDataset(opt)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        item = self.pairs[index]
        return item | {'lq': item['lq'] * self.alpha, 'gt': item['gt'] * self.alpha}

@LOSS_REGISTRY.register()
class CubeLoss(torch.nn.Module):
    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred, target):
        return self.loss_weight * (pred - target).abs().pow(3).mean()

@METRIC_REGISTRY.register()
def calculate_brightness(img, img2, crop_border: int = 0, **kwargs):
    return float(img.mean())

@ARCH_REGISTRY.register()
class NearestPlus(torch.nn.Module):
    def __init__(self, upscale: int = 4):
        super().__init__()
        self.upscale, self.layer = upscale, torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.layer(torch.nn.functional.interpolate(x, scale_factor=self.upscale))

@SCORER_REGISTRY.register()
class DarkScorer(QualityScorer):
    name, version = 'dark', '1'

    def _score(self, image, reference=None):
        return 1 - image.mean((1, 2, 3))

@GT_SAMPLER_REGISTRY.register()
class SecondBestSampler(ArgmaxSampler):
    """Takes the arguments of `GTSampler`."""
'''


def start(options: dict, folder: Path, *flags: str) -> tuple[int, str]:
    """Train in a process of its own, started from `folder`, where the user's package lies."""
    (folder / 'my_lab').mkdir(exist_ok=True)
    (folder / 'my_lab/__init__.py').touch()
    (folder / 'my_lab/sr.py').write_text(MODULE)
    (folder / 'x.yml').write_text(yaml.safe_dump(options, sort_keys=False))
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / 'iqasr/train.py'), '-opt', 'x.yml', *flags],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def test_a_model_a_data_set_and_a_loss_of_a_user_train_and_resume(paired_options, tmp_path):
    options = paired_options | {'custom_imports': ['my_lab.sr'], 'model_type': 'Ours_Modell'}
    options['datasets']['train'] |= {
        'type': 'DimmedDataset', 'alpha': 0.5, 'io_backend': {'type': 'disk'},
        'use_hflip': False,
    }  # fmt: skip
    options['datasets']['val']['io_backend'] = {'type': 'disk'}
    train = {'total_iter': 3, 'alpha': 10, 'pixel_opt': {'type': 'CubeLoss', 'loss_weight': 2.0}}
    train['optim_g'] = {'type': 'Adam', 'lr': 1e-3}
    train['scheduler'] = {'type': 'MultiStepLR', 'milestones': [100], 'gamma': 0.5}
    code, said = start(options | {'train': dict(train)}, tmp_path)
    assert code == 0, said
    assert said.count('DimmedDataset takes one dict; its options are passed on unchecked') == 1
    assert said.count('Ours_Modell takes one dict: its options are passed on unchecked') == 1
    plain, scaled = (re.findall(rf'\b{name} (\S+),', said) for name in ('l_pix', 'scaled'))
    assert [10 * float(x) for x in plain] == pytest.approx([float(x) for x in scaled], rel=1e-3)
    assert len(plain) == 3
    assert '# psnr' in said  # its own validation
    models = tmp_path / 'experiments/tiny/models'
    assert {'net_g_3.pth', 'net_g_latest.pth'} <= {path.name for path in models.iterdir()}
    code, said = start(options | {'train': train | {'total_iter': 5}}, tmp_path, '--auto_resume')
    assert code == 0, said
    assert '2 iterations' not in said
    assert 'iteration 4/5' in said
    assert 'iteration 3/5' not in said


def test_pieces_of_a_user_serve_our_model(candidate_options, pairs, tmp_path):
    options = candidate_options
    options['datasets']['train'] |= {
        'sampling': {'type': 'SecondBestSampler'},
        'quality': {'scorer': {'type': 'DarkScorer'}},
    }
    options['datasets']['val'] = {
        'name': 'pieces', 'type': 'PairedImageDataset',
        'dataroot_gt': str(pairs / 'gt'), 'dataroot_lq': str(pairs / 'lq'),
    }  # fmt: skip
    options['network_g'] = {'type': 'NearestPlus'}
    options['train'] |= {'total_iter': 2, 'pixel_opt': {'type': 'CubeLoss'}}
    metric = {'type': 'calculate_brightness'}
    options['val'] = {'val_freq': 2, 'metrics': {'up': metric | {'better': 'higher'}, 'x': metric}}
    code, said = start(options, tmp_path, '--import', 'my_lab.sr')
    assert code == 0, said
    assert 'up↑' in said
    assert re.search(r'\bx \d', said)  # no arrow, as nobody says which direction is better
    assert said.count('val.metrics.x: calculate_brightness does not say which direction') == 1


def test_options_of_a_user_with_a_signature_are_checked(paired_options, tmp_path):
    paired_options['train']['pixel_opt'] = {'type': 'CubeLoss', 'loss_weigth': 2.0}
    code, said = start(paired_options, tmp_path, '--import', 'my_lab.sr')
    assert code == 2
    assert "train.pixel_opt.loss_weigth: unknown option. Did you mean 'loss_weight'?" in said


@pytest.mark.parametrize('names', [['no_lab'], 'my_lab.sr'])
def test_a_module_that_cannot_be_imported_is_named(names, paired_options, tmp_path):
    code, said = start(paired_options | {'custom_imports': names}, tmp_path)
    assert code == 2
    assert 'custom_imports: ' in said
    assert 'Traceback' not in said


def test_a_non_finite_loss_of_another_model_stops_the_run(paired_options, tmp_path):
    options = paired_options | {'custom_imports': ['my_lab.sr'], 'model_type': 'Ours_Modell'}
    for name in ('train', 'val'):
        options['datasets'][name]['io_backend'] = {'type': 'disk'}
    options['train'] |= {'alpha': 1.0, 'optim_g': {'type': 'Adam', 'lr': 1e30}}
    options['train']['scheduler'] = {'type': 'MultiStepLR', 'milestones': [100], 'gamma': 0.5}
    code, said = start(options, tmp_path)
    assert code == 1
    assert 'Not finite (l_pix, scaled) at or before iteration 2. Lower the' in said
