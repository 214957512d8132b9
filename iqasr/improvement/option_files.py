"""The option files of an improvement: AMO, then fine-tuning (FT), then tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqasr.improvement.material import TEST, TRAIN, VAL
from iqasr.options.sections import OURS

AMO, FINETUNE, START, IMPROVED = 'amo', 'finetune', 'start', 'improved'

OPTIMISED = ('ranker', 'lpips')
"""Scorers that training pushes. They say nothing of whether the network is better."""

HELD_OUT = ('stlpips', 'dists', 'nima-mobilenet')
"""Scorers that no term of the training contains, which decide."""

CHECKERBOARD, VISIBLE_CHECKERBOARD = 'checkerboard', 0.25
"""A metric that has a veto, as judges overlook what it sees, and its mean from which on it does."""

SHOWN = ('niqe', 'piqe')
"""Scorers that are reported, but do not decide: people's votes on outputs contradict them."""

BICUBIC, DEGRADED = 'bicubic', 'degraded'
DEGRADATIONS: dict[str, dict[str, Any]] = {
    BICUBIC: {'type': 'BicubicDegradation'},
    DEGRADED: {'type': 'FirstOrderDegradation'},
}
"""By the folder that holds its outcome."""

BORDER_PX = 4
MAP_PARTS = 2
"""Crops are scored at distances of this part of their side."""


@dataclass(frozen=True)
class Setting:
    """What the option files of an improvement depend on.

    Args:
        root: Folder of the improvement.
        weights: Weights to start from: a path or a name.
        scale: How many times the network enlarges.
        gt_size: Side of the training crops.
        batch: Crops of an iteration.
        iterations: Iterations of each of the two trainings.
        is_faithful: Whether the network was trained on bicubic reductions. Then L1 holds it to the
            ground truth, and it goes on with such reductions. If not, as those of Real-ESRGAN, L1
            would make it blurred, and it gets degraded inputs.
    """

    root: Path
    weights: str
    scale: int
    gt_size: int
    batch: int
    iterations: int
    is_faithful: bool

    @property
    def data(self) -> Path:
        """Folder of squares and candidates."""
        return self.root / 'data'

    @property
    def quality_map(self) -> Path:
        """File of the quality of all crops."""
        stride = self.gt_size // MAP_PARTS
        return self.data / TRAIN / f'map_ranker_{self.gt_size}_{stride}.safetensors'

    @property
    def degradation(self) -> str:
        """Key of the degradation in training."""
        return BICUBIC if self.is_faithful else DEGRADED

    @property
    def tested(self) -> list[str]:
        """Keys of the degradations in tests."""
        return [BICUBIC] if self.is_faithful else [BICUBIC, DEGRADED]

    def training(self, stage: str) -> dict[str, Any]:
        """Write the option file of a training, `AMO` or `FINETUNE`."""
        quarter = max(1, self.iterations // 4)
        content = {
            'name': stage,
            'model_type': OURS,
            'scale': self.scale,
            'num_gpu': 'auto',
            'manual_seed': 0,
            'datasets': {TRAIN: self.training_set()},
            # The last layer, too: alone it can undo the pattern of dots that the others bring in.
            'lora': {'rank': 8, 'alpha': 8, 'target': ['*']},
            'path': {'root': str(self.root)} | self.start_of(stage),
            'train': self.terms(stage)
            | {
                'total_iter': self.iterations,
                'ema_decay': 0.9 if self.iterations < 400 else 0.99,
                'warmup_iter': min(20, quarter),
                'optim_g': {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]},
                'scheduler': {
                    'type': 'CosineAnnealingLR',
                    'T_max': self.iterations,
                    'eta_min': 1e-6,
                },
            },
            'logger': {
                'print_freq': max(1, self.iterations // 20),
                'save_checkpoint_freq': quarter,
                'keep_checkpoints': 1,
                'use_tb_logger': False,
            },
        }
        if stage == FINETUNE:
            content['datasets'][VAL] = self.pairs(VAL, self.degradation)
            judges = {name: judge(name) for name in ('ranker', *HELD_OUT)}
            guard = {'optimised': 'ranker', 'held_out': list(HELD_OUT)}
            content['val'] = {'val_freq': 2 * quarter, 'metrics': judges, 'guard': guard}
        return content

    def start_of(self, stage: str) -> dict[str, str]:
        """Say with which weights a stage starts."""
        if stage == AMO:
            return {'pretrain_network_g': self.weights, 'param_key_g': 'params_ema'}
        return {'pretrain_network_g': str(self.weights_of(AMO)), 'param_key_g': 'params_ema'}

    def weights_of(self, stage: str) -> Path:
        """File of the weights at the end of a training."""
        return self.root / 'experiments' / stage / 'models/net_g_latest.pth'

    def training_set(self) -> dict[str, Any]:
        """Write the section of the training set."""
        return {
            'name': TRAIN,
            'type': 'MultiGTDataset',
            'dataroot_gt': str(self.data / TRAIN),
            'gt_size': self.gt_size,
            'margin': 32 // self.scale * self.scale,
            'use_rot': True,
            'num_worker_per_gpu': 0,
            'batch_size_per_gpu': self.batch,
            'sampling': {'type': 'ArgmaxSampler', 'candidates': 'all'},
            'quality': {'map': str(self.quality_map)},
            'degradation': DEGRADATIONS[self.degradation],
        }

    def terms(self, stage: str) -> dict[str, Any]:
        """Write the terms of the objective."""
        # Without views, LPIPS, whose first layer takes steps of 4 px, teaches a pattern of 4 px.
        views = {'shift': 4, 'flip': True}
        terms: dict[str, Any] = {
            'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0 if self.is_faithful else 0.5},
            'lpips_opt': {
                'type': 'QualityLoss',
                'scorer': {'type': 'LPIPSScorer'},
                'loss_weight': 0.3,
                'views': views,
            },
        }
        if self.scale > 1:
            terms['checkerboard_opt'] = {
                'type': 'CheckerboardLoss',
                'period': self.scale,
                'loss_weight': 0.2,
            }
        if self.is_faithful:
            terms['lr_opt'] = {'type': 'LRConsistencyLoss', 'loss_weight': 1.0}
        else:
            terms['base_opt'] = {'type': 'BaseDistanceLoss', 'loss_weight': 0.5}
        if stage == FINETUNE:
            terms['quality_opt'] = {
                'type': 'QualityLoss',
                'scorer': {'type': 'RankerScorer', 'range': [-4, 8]},
                'gradient_ratio': 0.3,
                'calibrate_iter': 10,
                'calibrate_every': 10,
                'views': views,
            }
        return terms

    def pairs(self, part: str, degradation: str) -> dict[str, Any]:
        """Write the section of a set of pairs."""
        return {
            'name': degradation,
            'type': 'PairedImageDataset',
            'dataroot_gt': str(self.data / part / 'gt'),
            'dataroot_lq': str(self.data / part / degradation),
            'io_backend': {'type': 'disk'},
        }

    def test(self, name: str, weights: str) -> dict[str, Any]:
        """Write the option file of a test of some weights."""
        worst = {'scorer': {'type': 'RankerScorer'}, 'tile_px': 64, 'crop_border': BORDER_PX}
        metrics = {
            'psnr': {'type': 'calculate_psnr', 'crop_border': BORDER_PX},
            'lr_psnr': {'type': 'calculate_lr_psnr', 'crop_border': 1},
            'worst_tile': {'type': 'calculate_worst_tile', **worst},
            CHECKERBOARD: {
                'type': 'calculate_checkerboard',
                'period': self.scale,
                'crop_border': BORDER_PX,
            },
        }
        return {
            'name': name,
            'model_type': OURS,
            'scale': self.scale,
            'num_gpu': 'auto',
            'datasets': {
                f'{TEST}_{number}': self.pairs(TEST, key)
                for number, key in enumerate(self.tested, 1)
            },
            'path': {
                'root': str(self.root),
                'pretrain_network_g': weights,
                'param_key_g': 'params_ema',
            },
            'val': {
                'save_img': True,
                'metrics': metrics,
                'panel': [*HELD_OUT, *OPTIMISED, *SHOWN],
                'panel_crop_border': BORDER_PX,
            },
        }


def judge(name: str) -> dict[str, Any]:
    """Write the section of a metric that watches a training."""
    kinds = {
        'ranker': 'RankerScorer',
        'stlpips': 'STLPIPSScorer',
        'dists': 'DISTSScorer',
        'nima-mobilenet': 'NIMAScorer',
    }
    scorer = {'type': kinds[name]}
    return {'type': 'calculate_quality', 'scorer': scorer, 'crop_border': BORDER_PX}
