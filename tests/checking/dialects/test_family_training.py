"""Files of other tools train and resume through our commands, shrunk by overrides only."""

import pytest
import torch

from iqasr.losses import Objective
from iqasr.training.commands import test_command as run_test
from iqasr.training.commands import train_command

from .conftest import FAMILIES


@pytest.fixture
def run(write, tmp_path):
    """Train a file for some iterations; returns the exit code."""

    def train(options: dict, iterations: int, *flags: str, override: str = 'num_gpu=0') -> int:
        overrides = [f'train:total_iter={iterations}', f'path:root={tmp_path}', override]
        return train_command(['-opt', write(options), '--force_yml', *overrides, *flags])

    return train


@pytest.fixture
def weights(tmp_path):
    """Load the weights that a run has saved."""

    def load(iteration: int) -> dict:
        path = tmp_path / f'experiments/peer/models/net_g_{iteration}.pth'
        saved = torch.load(path, weights_only=True)
        return {f'{key}.{n}': w for key, state in saved.items() for n, w in state.items()}

    return load


@pytest.mark.parametrize('family', FAMILIES, indirect=True)
def test_family_trains_and_resumes_to_the_same_weights(family, run, weights, same_weights):
    assert run(family, 4) == 0
    straight = weights(4)
    assert run(family, 2) == 0
    assert run(family, 4, '--auto_resume') == 0
    same_weights(weights(4), straight)
    assert any('params_ema' in name for name in straight)


def test_sharpening_changes_the_weights(realesrgan, run, weights):
    assert run(realesrgan, 2) == 0
    sharpened = weights(2)
    assert run(realesrgan | {'l1_gt_usm': False}, 2) == 0
    assert any(not torch.equal(w, sharpened[name]) for name, w in weights(2).items())


def test_luma_networks_train_on_luma(pairs, basicsr, run, tmp_path):
    for key in ('network_d', 'train'):
        del basicsr[key]
    options = basicsr | {
        'model_type': 'SRModel',
        'network_g': {
            'type': 'ECBSR',
            'num_in_ch': 1,
            'num_out_ch': 1,
            'num_block': 1,
            'num_channel': 4,
            'with_idt': False,
            'act_type': 'prelu',
            'scale': 4,
        },
        'train': {'optim_g': {'type': 'Adam', 'lr': 1e-3}, 'pixel_opt': {'type': 'L1Loss'}},
    }
    metric = {'type': 'calculate_psnr', 'crop_border': 4, 'test_y_channel': True}
    options['val'] = {'val_freq': 2, 'save_img': True, 'metrics': {'psnr': metric}}
    options['logger']['use_tb_logger'] = True
    for section in options['datasets'].values():
        section['color'] = 'y'
    assert run(options, 2) == 0
    log = next((tmp_path / 'experiments/peer').glob('*.log')).read_text()
    assert 'Set5 @ 2: psnr' in log


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        ('network_g:upscale=2', 'enlarges 2 times, but scale is 4'),
        ('datasets:train:color=y', 'cannot take a luma image'),
    ],
)
def test_network_that_does_not_fit_the_data_is_refused(override, message, basicsr, run, capfd):
    assert run(basicsr, 2, override=override) == 2
    assert message in capfd.readouterr().err


def test_test_file_of_hggt_runs(pairs, write, run, realesrnet, weights, tmp_path):
    assert run(realesrnet, 2) == 0
    roots = {'dataroot_gt': str(pairs / 'gt'), 'dataroot_lq': str(pairs / 'lq')}
    path = tmp_path / 'experiments/peer/models/net_g_2.pth'
    options = {
        'name': 'peer',
        'model_type': 'Ours_PosGT_Model',
        'scale': 4,
        'num_gpu': 0,
        'manual_seed': 0,
        'pre_pad': 0,
        'tile_size': 800,
        'tile_pad': 32,
        'tile_process': True,
        'datasets': {
            'test_1': {
                'name': 'Set5',
                'type': 'PairedImageDataset',
                **roots,
                'io_backend': {'type': 'disk'},
            }
        },
        'network_g': realesrnet['network_g'],
        'path': {'pretrain_network_g': str(path), 'param_key_g': 'params_ema'},
        'val': {
            'save_img': True,
            'suffix': None,
            'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 4}},
        },
    }
    assert run_test(['-opt', write(options), '--force_yml', f'path:root={tmp_path}']) == 0
    assert len(list((tmp_path / 'results/peer/visualization/Set5').iterdir())) == 10


def test_a_term_sees_the_sharpened_ground_truth_and_others_do_not():
    from iqasr.losses import Batch, build_term

    terms = {name: build_term({'type': 'L1Loss'}) for name in ('pixel', 'other')}
    image = torch.zeros(1, 3, 4, 4)
    batch = Batch(
        lq=image,
        gt=image + 0.25,
        output=image,
        generator=torch.Generator(),
        iteration=1,
        sharpened=image + 0.75,
    )
    loss, log = Objective(terms, ['pixel'])(batch)
    assert [float(log[f'l_{name}']) for name in terms] == [0.75, 0.25]
    assert float(loss) == 1.0
