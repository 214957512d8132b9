"""What can be known before the first iteration is found by ``--check``, and by a run, too."""

from pathlib import Path

import cv2
import pytest
import torch
from basicsr.losses.basic_loss import L1Loss
from basicsr.utils.registry import ARCH_REGISTRY

from iqasr.checking.check import load_options
from iqasr.options.optimizers import step_through
from iqasr.quality import QualityScorer
from iqasr.registry import LOSS_REGISTRY, SCORER_REGISTRY
from iqasr.runtime.errors import OptionError

SWINIR = {'type': 'SwinIR', 'upscale': 4, 'depths': [2], 'embed_dim': 12, 'num_heads': [2]}

ADAM = {'type': 'Adam', 'lr': 1e-3}


@pytest.fixture(params=[('--check',), ()], ids=['check', 'train'])
def refused(request, train, capsys):
    """Check or train, which refuses and writes nothing; returns the message."""

    def run(options: dict) -> str:
        assert train(options, *request.param) == 2
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ('scheduler', 'message'),
    [
        (
            {'type': 'CosineAnnealingRestartLR', 'periods': [700, 500], 'restart_weights': [1, 1]},
            'train.scheduler: CosineAnnealingRestartLR fails in iteration 1202 of 1500',
        ),
        (
            {'type': 'OneCycleLR', 'max_lr': 1e-3, 'total_steps': 1300},
            'train.scheduler: OneCycleLR fails in iteration 1302 of 1500 (ValueError',
        ),
        (
            {'type': 'CosineAnnealingLR', 'T_max': 0},
            'train.scheduler: CosineAnnealingLR fails in iteration 2 of 1500 (ZeroDivisionError',
        ),
        (
            {'type': 'ExponentialLR', 'gamma': -0.5},
            'ExponentialLR gives a learning rate of -0.0005 in iteration 2 of 1500',
        ),
        (
            {'type': 'CosineAnnealingRestartLR', 'periods': [1500], 'restart_weights': []},
            'train.scheduler: CosineAnnealingRestartLR cannot be built from its options',
        ),
        (
            {'type': 'CosineAnnealingLR', 'T_max': 1500, 'eta_min': 0.5},
            'train.scheduler: eta_min: CosineAnnealingLR would raise the learning rate from 0.001',
        ),
    ],
)
def test_schedule_that_does_not_last(scheduler, message, paired_options, refused, tmp_path):
    paired_options['train'] |= {'total_iter': 1500, 'scheduler': scheduler}
    assert message in refused(paired_options)
    assert not (tmp_path / 'experiments/tiny/models').exists()


@pytest.mark.parametrize(
    'scheduler',
    [
        {'type': 'CosineAnnealingRestartLR', 'periods': [1, 2], 'restart_weights': [1, 1]},
        {'type': 'OneCycleLR', 'max_lr': 1e-3, 'total_steps': 3},
        {'type': 'MultiStepLR', 'milestones': [2], 'gamma': 0.5},
        {'type': 'CosineAnnealingLR', 'T_max': 3, 'eta_min': 0},
    ],
)
def test_schedule_that_just_lasts_is_taken(scheduler):
    step_through(ADAM, scheduler, 3, 3)
    with pytest.raises(ValueError, match='PolynomialLR cannot be built'):
        step_through(ADAM, {'type': 'PolynomialLR', 'total_itres': 2}, 3, 3)


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        (('val', 'metrics', 'psnr', 'crop_border'), 48, 'psnr.crop_border: 48 leaves nothing of'),
        (('val', 'panel_crop_border'), 50, 'val.panel_crop_border: 50 leaves nothing'),
    ],
)
def test_border_that_leaves_nothing(path, value, message, paired_options, train, capsys):
    section = paired_options
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    assert train(paired_options, '--check') == 2
    assert message in capsys.readouterr().err


def test_tiles_larger_than_the_images_are_no_tiles(paired_options, train, capsys):
    paired_options['val']['tile_px'] = 24
    assert train(paired_options, '--check') == 0
    assert 'val.tile_px: 24; images of 24 x 24 px are restored whole' in capsys.readouterr().err


class FourthChannelLoss(torch.nn.Module):
    """A user's loss with a mistake."""

    def forward(self, pred, target):
        return pred[:, 3].mean()


def test_failing_term_is_named_in_the_first_step(paired_options, train, capsys, monkeypatch):
    monkeypatch.setitem(LOSS_REGISTRY._obj_map, 'FourthChannelLoss', FourthChannelLoss)
    paired_options['train']['fourth_opt'] = {'type': 'FourthChannelLoss'}
    assert train(paired_options, '--check') == 2
    message = 'train.fourth_opt: fails in the first step (IndexError: '
    assert message in capsys.readouterr().err


class PooledNormNetwork(torch.nn.Module):
    """A network that normalises one number of each crop over the batch, as DAT does."""

    def __init__(self, upscale: int) -> None:
        super().__init__()
        self.upscale, self.norm = upscale, torch.nn.BatchNorm2d(3)

    def forward(self, x):
        return x.repeat_interleave(self.upscale, 2).repeat_interleave(self.upscale, 3) * self.norm(
            x.mean((2, 3), keepdim=True)
        )


def test_network_that_needs_several_crops(paired_options, refused, monkeypatch):
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'PooledNormNetwork', PooledNormNetwork)
    paired_options['network_g'] = {'type': 'PooledNormNetwork', 'upscale': 4}
    paired_options['datasets']['train']['batch_size_per_gpu'] = 1
    paired_options['path'].pop('pretrain_network_g', None)
    said = refused(paired_options)
    assert 'network_g: Expected more than 1 value per channel' in said
    assert 'datasets.train.batch_size_per_gpu' in said


class NoNumberScorer(QualityScorer):
    """A scorer that says nothing."""

    name, version = 'silent', '1'

    def _score(self, image, reference=None):
        return image.mean((1, 2, 3)) * float('nan')


def test_scorer_without_numbers_is_told(candidate_options, train, capsys, monkeypatch):
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'NoNumberScorer', NoNumberScorer)
    candidate_options['datasets']['train'] |= {
        'sampling': {'type': 'ArgmaxSampler', 'candidates': 'all'},
        'quality': {'scorer': {'type': 'NoNumberScorer'}},
    }
    assert train(candidate_options, '--check') == 2
    said = capsys.readouterr().err
    assert 'datasets.train.quality: the scorer gives no finite number' in said


def test_optimiser_that_cannot_be_built_is_named(paired_options, write_options):
    paired_options['train']['optim_g'] = {'type': 'Adam', 'lr': -1}
    with pytest.raises(OptionError, match=r'train.optim_g: Adam cannot be built .*learning rate'):
        load_options(write_options(paired_options))


def test_training_state_that_is_not_there(paired_options, refused, tmp_path):
    paired_options['path']['resume_state'] = 'nowhere/3.state'
    said = refused(paired_options)
    assert 'path.resume_state: nowhere/3.state: there is no such file. There is none' in said
    folder = tmp_path / 'experiments/tiny/training_states'
    folder.mkdir(parents=True)
    for iteration in (5000, 10_000):
        (folder / f'{iteration}.state').write_bytes(b'')
    paired_options['path']['resume_state'] = str(folder / '3.state')
    assert 'There are: 5000.state, 10000.state.' in refused(paired_options)
    paired_options['path']['resume_state'] = str(folder / 'latest.state')
    assert 'latest.state is no file <iteration>.state' in refused(paired_options)


def test_root_that_is_a_file(paired_options, refused, tmp_path):
    (tmp_path / 'taken').write_text('')
    for root in ('taken', 'taken/deeper'):
        paired_options['path']['root'] = str(tmp_path / root)
        assert f'path.root: {tmp_path / "taken"} is a file' in refused(paired_options)


@pytest.mark.parametrize(
    ('state', 'found'),
    [
        ({'epoch': 1, 'iter': 3, 'optimizers': [], 'schedulers': []}, 'it is one of BasicSR'),
        ({'params': {'weight': torch.zeros(1)}}, "it holds ['params']"),
    ],
)
def test_training_state_of_another_program(state, found, paired_options, refused, tmp_path):
    path = tmp_path / '3.state'
    torch.save(state, path)
    paired_options['path']['resume_state'] = str(path)
    text = refused(paired_options)
    assert f'path.resume_state: {path} is no training state of iqasr; {found}' in text
    assert 'give path.pretrain_network_g' in text


def test_check_follows_a_run_to_continue(paired_options, train, capsys):
    assert train(paired_options | {'train': paired_options['train'] | {'total_iter': 3}}) == 0
    assert train(paired_options, '--auto_resume', '--check') == 0
    assert 'Ready to train' in capsys.readouterr().err
    paired_options['network_g']['num_feat'] = 4
    assert train(paired_options, '--auto_resume', '--check') == 2
    assert 'does not fit this option file' in capsys.readouterr().err


def test_check_takes_the_first_step_of_the_generator(candidate_options, train, monkeypatch):
    seen = []
    forward = L1Loss.forward

    def watched(self, *arguments, **named):
        seen.append(True)
        return forward(self, *arguments, **named)

    monkeypatch.setattr(L1Loss, 'forward', watched)
    candidate_options['train'] |= {'net_d_init_iters': 3, 'net_d_iters': 2}
    assert train(candidate_options, '--check') == 0
    assert seen == [True]


def test_pairs_to_validate_that_do_not_fit(paired_options, train, tmp_path, capsys):
    section = paired_options['datasets']['val']
    source, folder = Path(section['dataroot_gt']), tmp_path / 'small'
    folder.mkdir()
    for path in source.iterdir():
        image = cv2.imread(str(path))
        cv2.imwrite(str(folder / path.name), image[:92] if path.stem == '03' else image)
    section['dataroot_gt'] = str(folder)
    assert train(paired_options, '--check') == 2
    said = capsys.readouterr().err
    assert '03.png' in said
    assert '92' in said


def test_check_decodes_all_images_to_validate(paired_options, train, tmp_path, capsys):
    section = paired_options['datasets']['val']
    for kind in ('gt', 'lq'):
        folder = tmp_path / kind
        folder.mkdir()
        for source in sorted(Path(section[f'dataroot_{kind}']).iterdir())[:2]:
            (folder / source.name).write_bytes(source.read_bytes())
        section[f'dataroot_{kind}'] = str(folder)
    section['type'] = 'EvaluationDataset'
    broken = tmp_path / 'lq/01.png'
    broken.write_bytes(broken.read_bytes()[:-200])
    assert train(paired_options, '--check') == 2
    assert str(broken) in capsys.readouterr().err


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        ('network_g:num_feat', -64, 'network_g.num_feat: should be a number from 0 on, not -64'),
        ('network_g:num_block', 0.5, 'as an integer); the reason is num_block: 0.5'),
        ('network_d:num_in_ch', [1, 2], "'int'); look at num_in_ch: [1, 2]"),
        ('network_d:num_in_ch', 1, 'network_d: UNetDiscriminatorSN cannot judge an RGB image'),
        (
            'network_d',
            {'type': 'MSRResNet', 'num_feat': 4, 'num_block': 1, 'upscale': 4},
            'network_d: MSRResNet returns images',
        ),
        (
            'train:vgg_opt',
            {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}, 'vgg_type': 'vgg16'},
            'train.vgg_opt.layer_weights.conv5_4: vgg16 has no such layer.',
        ),
        (
            'train:vgg_opt',
            {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}, 'vgg_type': 'vgg17'},
            "train.vgg_opt.vgg_type: no such network: 'vgg17'",
        ),
        ('datasets:train:margin', 100_000, 'datasets.train.margin: 100000 px are more than'),
        (
            'network_g',
            SWINIR | {'img_size': 36, 'window_size': 8},
            'network_g: SwinIR cannot be built from its options (',
        ),
        (
            'network_g',
            SWINIR | {'img_size': 0, 'window_size': 8},
            'network_g: SwinIR: shift_size must',
        ),
    ],
)
def test_values_of_the_right_kind(path, value, message, candidate_options, train, capsys, vgg):
    *sections, last = path.split(':')
    place = candidate_options
    for key in sections:
        place = place[key]
    place[last] = value
    assert train(candidate_options, '--check') == 2
    assert message in capsys.readouterr().err
