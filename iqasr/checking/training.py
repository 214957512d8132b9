"""Check what only a training needs: terms, optimisers, discriminator, adapters."""

import importlib.util
import logging

from torch import nn

from iqasr.checking.components import check_component, find_class
from iqasr.losses import term_inputs
from iqasr.losses.pretrained_features import NETWORKS, layers_of, network_of
from iqasr.options.optimizers import construct, find_optimizer, find_scheduler, step_through
from iqasr.options.schema import Problems, check_section
from iqasr.options.sections import Options, TrainOptions
from iqasr.registry import LOSS_REGISTRY, nearest

logger = logging.getLogger('iqasr')

TORCH_SECTIONS = {
    'optim_g': (find_optimizer, 'params'),
    'optim_d': (find_optimizer, 'params'),
    'scheduler': (find_scheduler, 'optimizer'),
}
"""Sections of ``train`` whose ``type`` is in no registry: how it is found, and the argument of its
constructor that does not come from the section."""

TERM_WEIGHTS = ('loss_weight', 'perceptual_weight', 'style_weight')
"""Options of losses that are weights."""

FIRST_STEPS = 1000
"""Steps of a scheduler that every check of an option file takes, in some milliseconds."""

USM_RADIUS_PX = 25
"""How far the unsharp mask looks each way."""


def check_training(problems: Problems, options: Options) -> None:
    """Check the section ``train`` and what it asks of others; values are converted in place."""
    train = options.train
    if train is None:
        problems.add('train', 'is required and missing.')
        return
    if not train.terms:
        problems.add('train', 'has no term to minimise; give pixel_opt, for one.')
    for key, section in train.terms.items():
        train.terms[key] = check_component(problems, f'train.{key}_opt', section, LOSS_REGISTRY)
    for key, (find, provided) in TORCH_SECTIONS.items():
        path, section = f'train.{key}', getattr(train, key)
        if section is not None and (cls := find_class(problems, path, section, find)):
            setattr(train, key, check_section(problems, path, section, cls, (provided,)))
    check_course(problems, train)
    check_weights_of_terms(problems, train)
    check_layers(problems, train)
    check_optimisation(problems, train)
    check_discriminator(problems, options, train)
    check_terms(problems, options, train)
    check_sharpening(problems, options, train)
    if options.datasets_of('val') and options.val.val_freq is None:
        problems.add('val.val_freq', 'is required, since there are data sets to validate.')
    if options.lora is not None and options.path.pretrain_network_g is None:
        problems.add('path.pretrain_network_g', 'is required by lora: the network to adapt.')
    wandb = options.logger.wandb
    if wandb is not None and wandb.project and importlib.util.find_spec('wandb') is None:
        problems.add('logger.wandb', '`pip install wandb`, or remove the project.')


def check_course(problems: Problems, train: TrainOptions) -> None:
    """Check that the iterations suffice for what is to happen in them."""
    start = train.net_d_init_iters + 1
    first = start + -start % train.net_d_iters
    if first > train.total_iter:
        key = 'net_d_init_iters' if train.net_d_init_iters else 'net_d_iters'
        reason = f'the generator would first learn in iteration {first} of {train.total_iter}'
        problems.add(f'train.{key}', f'{reason}; lower it, or raise total_iter.')
    if train.warmup_iter > train.total_iter:
        reason = f'is {train.warmup_iter}, more than total_iter, {train.total_iter}'
        problems.add('train.warmup_iter', f'{reason}: the learning rate would never be reached.')
    scheduler = train.scheduler or {}
    period = scheduler.get('T_max') if scheduler.get('type') == 'CosineAnnealingLR' else None
    if isinstance(period, int) and 0 < period < train.total_iter:
        logger.warning(
            'train.scheduler.T_max: is %d, less than total_iter, %d: the learning rate falls until '
            'then, and rises again.',
            period,
            train.total_iter,
        )
    for key, section in train.terms.items():
        warmup = section.get('warmup_iter')
        if isinstance(warmup, int) and warmup > train.total_iter:
            logger.warning(
                'train.%s_opt.warmup_iter: is %d, more than total_iter, %d, so that the term never '
                'has its full weight.',
                key,
                warmup,
                train.total_iter,
            )


def check_weights_of_terms(problems: Problems, train: TrainOptions) -> None:
    """Check that weights are numbers from 0 on, and targets are qualities."""
    for key, section in train.terms.items():
        weights = {name: section.get(name) for name in TERM_WEIGHTS}
        layers = section.get('layer_weights')
        if isinstance(layers, dict):
            weights |= {f'layer_weights.{name}': value for name, value in layers.items()}
        for name, value in weights.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (is_number and value >= 0):
                reason = f'should be a number from 0 on, not {value!r}.'
                problems.add(f'train.{key}_opt.{name}', reason)
        target = section.get('target')
        if isinstance(target, int | float) and not 0 < target <= 1:
            reason = f'is {target}; give a quality from above 0 to 1, its best.'
            problems.add(f'train.{key}_opt.target', reason)


def check_layers(problems: Problems, train: TrainOptions) -> None:
    """Check that perceptual terms compare layers that their network has."""
    for key, section in train.terms.items():
        if section.get('type') != 'PerceptualLoss':
            continue
        network, layers = network_of(section), section.get('layer_weights')
        if network not in NETWORKS:
            reason = f"no such network: '{network}'.{nearest(network, NETWORKS)} There are: "
            problems.add(f'train.{key}_opt.vgg_type', f'{reason}{", ".join(NETWORKS)}.')
            continue
        known = layers_of(network)
        for layer in [layer for layer in layers or () if layer not in known]:
            reason = f'{network} has no such layer.{nearest(layer, known)} There are: '
            problems.add(f'train.{key}_opt.layer_weights.{layer}', f'{reason}{", ".join(known)}.')


def check_optimisation(problems: Problems, train: TrainOptions) -> None:
    """Check that optimisers can be built, and that the schedule holds for its first steps."""
    if any(
        entry.startswith(f'train.{key}') for key in TORCH_SECTIONS for entry in problems.entries
    ):
        return
    count = len(problems.entries)
    for key in ('optim_g', 'optim_d'):
        section = getattr(train, key)
        if section is not None:
            try:
                construct(find_optimizer(section['type']), [nn.Parameter()], section)
            except ValueError as error:
                problems.add(f'train.{key}', str(error))
    if len(problems.entries) == count:
        check_schedule(problems, train, FIRST_STEPS)


def check_schedule(problems: Problems, train: TrainOptions, most: int | None = None) -> None:
    """Step the scheduler through its course, or through so many iterations at most."""
    steps = min(train.total_iter, most or train.total_iter)
    for section in (train.optim_g, train.optim_d):
        if train.scheduler is not None and section is not None:
            try:
                step_through(section, train.scheduler, steps, train.total_iter)
            except ValueError as error:
                problems.add('train.scheduler', str(error))
                return


def check_discriminator(problems: Problems, options: Options, train: TrainOptions) -> None:
    """Check that adversarial training has all its parts, or none."""
    for key, section in train.terms.items():
        if (key == 'gan') != str(section.get('type')).endswith('GANLoss'):
            problems.add(f'train.{key}_opt', 'GANLoss, and only it, belongs to gan_opt.')
    required = {'network_d': options.network_d, 'train.optim_d': train.optim_d}
    if 'gan' in train.terms:
        for path in (path for path, value in required.items() if value is None):
            problems.add(path, 'is required by train.gan_opt and missing.')
        return
    unused = required | {
        'path.pretrain_network_d': options.path.pretrain_network_d,
        'train.net_d_iters': train.net_d_iters if train.net_d_iters > 1 else None,
        'train.net_d_init_iters': train.net_d_init_iters or None,
    }
    for path in (path for path, value in unused.items() if value is not None):
        problems.add(path, 'is not used without train.gan_opt; remove it, or add that term.')


def check_terms(problems: Problems, options: Options, train: TrainOptions) -> None:
    """Check that there is what the terms compare with."""
    for key, section in train.terms.items():
        name, inputs = f'train.{key}_opt', term_inputs(section)
        if 'base' in inputs and options.path.pretrain_network_g is None:
            problems.add(
                'path.pretrain_network_g',
                f'is required by {name}, which compares with the network that training starts '
                'from. Give its weights, or remove that term.',
            )
        if 'average' in inputs and not train.ema_decay:
            reason = f'is required by {name}, which compares with the averaged network: 0.999.'
            problems.add('train.ema_decay', reason)
        if 'negative' in inputs:
            if options.train_set.get('type') != 'MultiGTDataset':
                problems.add(name, 'needs a training set of type MultiGTDataset, with labels.')
            options.train_set['negatives'] = True


def check_sharpening(problems: Problems, options: Options, train: TrainOptions) -> None:
    """Check that what is to be sharpened is there, and large enough."""
    known, data = ['original', 'degraded', *train.terms], options.train_set
    for name in options.sharpen:
        if name not in known:
            hint = nearest(name, known) or f' There are: {", ".join(known)}.'
            problems.add('sharpen', f"no term is called '{name}'.{hint}")
    side = data.get('gt_size')
    if options.sharpen and isinstance(side, int) and side <= USM_RADIUS_PX:
        reason = f'is {side}; `sharpen` needs more than {USM_RADIUS_PX} px.'
        problems.add('datasets.train.gt_size', reason)
    if 'degraded' in options.sharpen and data.get('degradation') is None:
        problems.add('sharpen', 'degraded needs datasets.train.degradation.')
    if {'original', 'degraded'} <= set(options.sharpen):
        problems.add('sharpen', 'original and degraded exclude each other; original does both.')
    if 'original' in options.sharpen and data.get('sampling', {}).get('candidates') != 'original':
        reason = 'original needs sampling.candidates: original, the ground truth it sharpens.'
        problems.add('sharpen', reason)
