"""Small options of every kind of run, and batches for them."""

import torch

from iqasr.options.sections import Options

RANKER = {'type': 'RankerScorer'}
NIMA = {'type': 'NIMAScorer', 'crop': 96}


def quality(scorer, **options):
    return {'type': 'QualityLoss', 'scorer': scorer, 'loss_weight': 0.1} | options


def ensemble(**options):
    return {'type': 'EnsembleScorer', 'scorers': [RANKER, NIMA]} | options


def perceptual(**options):
    layers = {'conv1_2': 0.1, 'conv3_4': 1}
    return {'type': 'PerceptualLoss', 'layer_weights': layers} | options


def base(**options):
    return {'type': 'BaseDistanceLoss'} | options


def one_order(**stage):
    return {'type': 'FirstOrderDegradation', 'stage': stage}


def trained(**options):
    return {'train': options}


def fed(**options):
    return {'datasets': {'train': options}}


KINDS = {
    'averaged, clipped, accumulated': (
        'paired_options',
        trained(clip_grad_norm=0.1, accumulate=2, warmup_iter=4, speed='channels_last'),
    ),
    'another optimiser': (
        'paired_options',
        trained(optim_g={'type': 'SGD', 'lr': 0.1, 'momentum': 0.9, 'foreach': True}),
    ),
    'vanilla GAN': ('gan_options', trained(clip_grad_norm=0.1, accumulate=2)),
    'relativistic GAN': (
        'gan_options',
        trained(gan_opt={'type': 'RelativisticGANLoss', 'gan_type': 'lsgan'}),
    ),
    'sides apart': ('gan_options', trained(net_d_iters=2, gan_opt={'gan_type': 'hinge'})),
    'perceptual': (
        'paired_options',
        trained(
            perceptual_opt=perceptual(style_weight=1),
            features_opt=perceptual(),
            ldl_opt={'type': 'LDLLoss'},
            lr_opt={'type': 'LRConsistencyLoss', 'sigma_px': 1},
        ),
    ),
    'adapters, calibrated, views': (
        'quality_options',
        {'lora': {'rank': 1, 'target': ['body.*']}},
        trained(
            base_opt=base(),
            quality_opt={
                'calibrate_iter': 9,
                'gradient_sigma_px': 1,
                'views': {
                    'count': 2,
                    'crop': 60,
                    'rescale_range': [0.9, 1.1],
                    'noise_range': [1, 4],
                    'rounding': True,
                },
            },
        ),
    ),
    'views of JPEG': ('quality_options', trained(quality_opt={'views': {'jpeg_range': [60, 90]}})),
    'ensembles': (
        'paired_options',
        fed(gt_size=96),
        trained(
            one_opt=quality(ensemble(fusion='worst')),
            two_opt=quality(ensemble(fusion='weighted', weights=[1, 2])),
        ),
    ),
    'full-reference scorers': (
        'paired_options',
        fed(gt_size=64),
        trained(
            one_opt=quality({'type': 'LPIPSScorer'}),
            two_opt=quality({'type': 'STLPIPSScorer'}),
            base_opt=base(scorer={'type': 'DISTSScorer'}),
        ),
    ),
    'distance of textures': ('paired_options', trained(base_opt=base(distance='gram'))),
    'one order, Gaussian noise, pool': (
        'candidate_options',
        fed(degradation=one_order(gaussian_noise_prob=1), queue_size=2),
    ),
    'one order, Poisson noise': (
        'candidate_options',
        fed(degradation=one_order(gaussian_noise_prob=0)),
    ),
    'two orders, sharpened original': (
        'candidate_options',
        fed(degradation={'type': 'SecondOrderDegradation'}, sampling={'candidates': 'original'}),
        {'sharpen': ['original', 'pixel', 'gan']},
    ),
    'bicubic, sharpened input': (
        'candidate_options',
        fed(degradation={'type': 'BicubicDegradation'}),
        {'sharpen': ['degraded']},
    ),
    'negatives': (
        'candidate_options',
        fed(sampling={'candidates': 'positives-else-original'}, negatives=True, queue_size=2),
        trained(negative_opt={'type': 'NegativeLoss'}),
    ),
    'chosen online': (
        'candidate_options',
        fed(
            gt_size=64,
            sampling={'type': 'SoftmaxSampler', 'temperature': 1, 'margin': 0.1, 'top_k': 2},
            quality={'scorer': RANKER, 'norm': 'zscore_set'},
        ),
    ),
}
"""By name, the fixture with the options to start from, and what is different."""


def merge(options, changes):
    """Change options, section by section; a section of another type takes the place of one."""
    for key, value in changes.items():
        old = options.get(key)
        same = isinstance(old, dict) and isinstance(value, dict)
        if same and value.get('type', old.get('type')) == old.get('type'):
            merge(old, value)
        else:
            options[key] = value


def random_batch(options: Options, place=0):
    """Make a batch as the loader does for the training set of some options."""
    data, candidates = options.train_set, 3
    count, side = data.get('batch_size_per_gpu', 1), data['gt_size']
    generator = torch.Generator().manual_seed(place)

    def images(*shape):
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    if 'degradation' not in data:
        low = side // options.scale
        return {
            name: images(count, 3, s, s).float() / 255 for name, s in (('lq', low), ('gt', side))
        }
    region, quality = side + data.get('margin', 64), data.get('quality') or {}
    batch = {
        'position': place + torch.arange(count),
        'original': images(count, 3, region, region),
        'offset': torch.full((count, 2), options.scale),
    }
    if quality and not (quality.get('table') or quality.get('map')):
        batch['candidates'] = images(count, candidates, 3, side, side)
        batch['allowed'] = torch.arange(candidates) < 1 + torch.arange(count)[:, None]
        batch['turns'] = torch.tensor([[True, False, True]] * count)
    else:
        batch['gt'] = images(count, 3, side, side)
        batch['choice'] = torch.zeros(count, dtype=torch.int64)
        batch['perplexity'], batch['quality'] = torch.ones(count), torch.zeros(count, candidates)
    if data.get('negatives'):
        pair = {name: images(count, 3, side, side) for name in ('image', 'positive')}
        batch['negative'] = pair | {'agreement': torch.rand(count, 2, generator=generator)}
    return batch
