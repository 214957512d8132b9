"""Option files in the spelling of other tools, written here with the keys that theirs have."""

import copy
from pathlib import Path

import pytest
import yaml

from iqasr.data.candidates.hggt import write_votes
from iqasr.sampling.labels import Label

ADAM = {'type': 'Adam', 'lr': 1e-3, 'weight_decay': 0, 'betas': [0.9, 0.99]}
GAN = {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0}

STAGE_1 = {
    'resize_prob': [0.2, 0.7, 0.1],
    'resize_range': [0.5, 1.5],
    'gaussian_noise_prob': 0.4,
    'noise_range': [1, 30],
    'poisson_scale_range': [0.05, 3],
    'gray_noise_prob': 0.4,
    'jpeg_range': [30, 95],
}
STAGE_2 = {
    'second_blur_prob': 0.8,
    'resize_prob2': [0.3, 0.4, 0.3],
    'resize_range2': [0.6, 1.2],
    'gaussian_noise_prob2': 0.5,
    'noise_range2': [1, 25],
    'poisson_scale_range2': [0.05, 2.5],
    'gray_noise_prob2': 0.3,
    'jpeg_range2': [35, 95],
}
KERNELS = {
    'kernel_list': ['iso', 'aniso'],
    'kernel_prob': [0.7, 0.3],
    'sinc_prob': 0.1,
    'blur_sigma': [0.2, 3],
    'betag_range': [0.5, 4],
    'betap_range': [1, 2],
}
KERNELS_2 = {f'{key}2': value for key, value in KERNELS.items()} | {'blur_sigma2': [0.2, 1.5]}


def paired(model: str, pairs: Path, **train) -> dict:
    """A file of BasicSR or LDL for pairs."""
    roots = {'dataroot_gt': str(pairs / 'gt'), 'dataroot_lq': str(pairs / 'lq')}
    data = {'type': 'PairedImageDataset', **roots, 'io_backend': {'type': 'disk'}}
    return {
        'name': 'peer',
        'model_type': model,
        'scale': 4,
        'num_gpu': 'auto',
        'manual_seed': 0,
        'datasets': {
            'train': data
            | {
                'filename_tmpl': '{}',
                'gt_size': 32,
                'use_flip': True,
                'use_rot': True,
                'use_shuffle': True,
                'num_worker_per_gpu': 0,
                'batch_size_per_gpu': 2,
                'dataset_enlarge_ratio': 10,
                'prefetch_mode': None,
            },
            'val': data | {'name': 'Set5'},
        },
        'network_g': {
            'type': 'MSRResNet',
            'num_in_ch': 3,
            'num_out_ch': 3,
            'num_feat': 4,
            'num_block': 1,
            'upscale': 4,
        },
        'path': {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None},
        'train': {
            'ema_decay': 0.999,
            'optim_g': dict(ADAM),
            'scheduler': {'type': 'MultiStepLR', 'milestones': [3], 'gamma': 0.5},
            'total_iter': 4,
            'warmup_iter': -1,
            'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'},
            **train,
        },
        'val': {
            'val_freq': 5e3,
            'save_img': False,
            'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 4}},
        },
        'logger': {
            'print_freq': 1,
            'save_checkpoint_freq': 2,
            'use_tb_logger': False,
            'wandb': {'project': None, 'resume_id': None},
        },
        'dist_params': {'backend': 'nccl', 'port': 29500},
    }


def with_adversary(options: dict) -> dict:
    """The same with a discriminator."""
    options['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    options['train'] |= {'optim_d': dict(ADAM), 'gan_opt': GAN | {'loss_weight': 0.1}}
    options['train'] |= {'net_d_iters': 1, 'net_d_init_iters': 0}
    return options


@pytest.fixture
def basicsr(pairs) -> dict:
    return with_adversary(paired('ESRGANModel', pairs))


@pytest.fixture
def ldl(pairs) -> dict:
    artifacts = {'type': 'L1Loss', 'loss_weight': 0.5, 'reduction': 'mean'}
    return with_adversary(paired('ESRGANArtifactsDisModel', pairs, artifacts_opt=artifacts))


@pytest.fixture
def realesrgan(candidates, pairs, tmp_path) -> dict:
    listing = tmp_path / 'meta_info.txt'
    listing.write_text('\n'.join(f'original/{k:02d}.png (96,96,3)' for k in range(8)))
    options = with_adversary(paired('RealESRGANModel', pairs))
    options['datasets'] = {
        'train': {
            'name': 'DF2K',
            'type': 'RealESRGANDataset',
            'dataroot_gt': str(candidates),
            'meta_info': str(listing),
            'io_backend': {'type': 'disk'},
            'blur_kernel_size': 21,
            **KERNELS,
            'blur_kernel_size2': 21,
            **KERNELS_2,
            'final_sinc_prob': 0.6,
            'gt_size': 32,
            'use_hflip': True,
            'use_rot': False,
            'num_worker_per_gpu': 0,
            'batch_size_per_gpu': 2,
        }
    }
    del options['val']
    usm = {'l1_gt_usm': True, 'percep_gt_usm': True, 'gan_gt_usm': False}
    return options | usm | STAGE_1 | STAGE_2 | {'gt_size': 32, 'queue_size': 4}


@pytest.fixture
def realesrnet(realesrgan) -> dict:
    for key in ('l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm', 'network_d'):
        del realesrgan[key]
    for key in ('gan_opt', 'optim_d', 'net_d_iters', 'net_d_init_iters'):
        del realesrgan['train'][key]
    return realesrgan | {'model_type': 'RealESRNetModel', 'gt_usm': True}


@pytest.fixture
def realesrgan_pairs(pairs, tmp_path) -> dict:
    listing = tmp_path / 'pairs.txt'
    listing.write_text('\n'.join(f'gt/{k:02d}.png, lq/{k:02d}.png' for k in range(10)))
    options = with_adversary(paired('RealESRGANModel', pairs))
    options['datasets']['train'] |= {
        'type': 'RealESRGANPairedDataset',
        'dataroot_gt': str(pairs),
        'dataroot_lq': str(pairs),
        'meta_info': str(listing),
    }
    usm = {'l1_gt_usm': True, 'percep_gt_usm': True, 'gan_gt_usm': True}
    return options | usm | {'high_order_degradation': False}


@pytest.fixture
def hggt(candidates, pairs, tmp_path) -> dict:
    """Positives and negatives; group 0 has no positive, group 1 is similar only."""
    words = [('N', 'S'), ('S', 'S')] + [('P', 'N')] * 8
    label_of = {'P': Label.POSITIVE, 'S': Label.SIMILAR, 'N': Label.NEGATIVE}
    for who in 'ABC':
        (tmp_path / 'labels' / who).mkdir(parents=True)
        for number, pair in enumerate(words):
            votes = {f'{k:02d}': label_of[word] for k, word in enumerate(pair, 1)}
            path = tmp_path / f'labels/{who}/{number:02d}.json'
            write_votes(str(path), f'{number:02d}', votes)
    options = with_adversary(paired('Ours_PosNegGT_Model', pairs))
    options['datasets']['train'] = {
        'name': 'PosNegGT',
        'type': 'PosNegGTPosNeg_Dataset',
        'dataroot_all_gt': str(candidates),
        'dataroot_all_json': str(tmp_path / 'labels'),
        'blur_kernel_size_min': 1,
        'blur_kernel_size_max': 4,
        **KERNELS,
        'gt_size': 32,
        'use_hflip': True,
        'use_rot': False,
        'num_worker_per_gpu': 0,
        'batch_size_per_gpu': 2,
    }
    options['network_g'] = {'type': 'RRDBPSNet', 'num_feat': 4, 'num_block': 1, 'num_grow_ch': 4}
    options['train']['neg_opt'] = {'type': 'L1Loss', 'loss_weight': 3e2, 'reduction': 'mean'}
    tiles = {'pre_pad': 0, 'tile_size': 480, 'tile_pad': 24, 'tile_process': False}
    return options | STAGE_1 | tiles | {'gt_size': 32, 'queue_size': 4}


@pytest.fixture
def enhancement(candidates, pairs, tmp_path) -> dict:
    """An enhancer: scale 1, photographs that a list names."""
    listing = tmp_path / 'meta_info.txt'
    listing.write_text('\n'.join(f'original/{k:02d}.png' for k in range(8)))
    options = with_adversary(paired('EnhancementModel', pairs)) | STAGE_1
    kernels = {key: KERNELS[key] for key in ('kernel_list', 'kernel_prob', 'sinc_prob')}
    options['datasets']['train'] = {
        'name': 'DF2K_OST',
        'type': 'EnhancementDataset',
        'dataroot_gt': str(candidates),
        'meta_info': str(listing),
        'io_backend': {'type': 'disk'},
        'blur_kernel_size_min': 1,
        'blur_kernel_size_max': 4,
        **kernels,
        'blur_sigma': [0.1, 0.5],
        'use_hflip': True,
        'use_rot': True,
        'num_worker_per_gpu': 0,
        'batch_size_per_gpu': 2,
    }
    options['datasets']['val'] = {
        'name': 'Set5',
        'type': 'SingleImageDataset',
        'dataroot_lq': str(pairs / 'lq'),
        'io_backend': {'type': 'disk'},
    }
    options['val'] = {'pbar': True, 'val_freq': 1e5, 'save_img': True, 'suffix': None}
    options['network_g'] = {
        'type': 'RCANNOUP',
        'num_in_ch': 3,
        'num_out_ch': 3,
        'num_feat': 16,
        'num_group': 1,
        'num_block': 1,
        'rgb_mean': [0.4488, 0.4371, 0.4040],
    }
    options['network_d']['type'] = 'RealESRGANUNetDiscriminatorSN'
    sizes = {'scale': 1, 'gt_size': 32, 'queue_size': 4}
    return options | sizes | {'pre_pad': 0, 'tile_size': 480, 'tile_pad': 24}


FAMILIES = ['basicsr', 'ldl', 'realesrgan', 'realesrnet', 'realesrgan_pairs', 'hggt', 'enhancement']


@pytest.fixture
def family(request) -> dict:
    """One of the above, by name (indirect)."""
    return copy.deepcopy(request.getfixturevalue(request.param))


@pytest.fixture
def write(tmp_path):
    """Write options to a file, as they are; returns its path."""

    def to_file(options: dict) -> str:
        path = tmp_path / 'peer.yml'
        path.write_text(yaml.safe_dump(options, sort_keys=False))
        return str(path)

    return to_file
