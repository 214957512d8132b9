"""Check that an option file has what its terms compare with."""

from iqasr.losses import term_inputs
from iqasr.options.schema import Problems
from iqasr.options.sections import Options
from iqasr.registry import nearest

USM_RADIUS_PX = 25
"""How far the unsharp mask looks each way."""


def check_sharpening(options: Options, problems: Problems) -> None:
    """Note what is sharpened, but is not there."""
    known = ['original', 'degraded', *options.train.terms]
    for name in options.sharpen:
        if name not in known:
            hint = nearest(name, known) or f' There are: {", ".join(known)}.'
            problems.add('sharpen', f"no term is called '{name}'.{hint}")
    side = options.datasets.get('train', {}).get('gt_size')
    if options.sharpen and isinstance(side, int) and side <= USM_RADIUS_PX:
        reason = f'is {side}; `sharpen` needs more than {USM_RADIUS_PX} px.'
        problems.add('datasets.train.gt_size', reason)
    if 'degraded' in options.sharpen and options.degradation is None:
        problems.add('sharpen', 'degraded needs a section `degradation`.')
    if {'original', 'degraded'} <= set(options.sharpen):
        problems.add('sharpen', 'original and degraded exclude each other; original does both.')
    alone = options.sampling is not None and options.sampling.get('candidates') == 'original'
    if 'original' in options.sharpen and not alone:
        reason = 'original needs sampling.candidates: original, which it is the ground truth of.'
        problems.add('sharpen', reason)


def check_terms(options: Options, problems: Problems) -> None:
    """Note what is missing: weights to stay near, an averaged network, judged candidates."""
    check_sharpening(options, problems)
    multi_gt = options.datasets.get('train', {}).get('type') == 'MultiGTDataset'
    for key, section in options.train.terms.items():
        name, inputs = f'train.{key}_opt', term_inputs(section)
        if 'base' in inputs and options.path.pretrain_network_g is None:
            problems.add(
                'path.pretrain_network_g',
                f'is required by {name}: what to stay near. Give the weights to start from, or '
                'remove that term.',
            )
        if 'average' in inputs and not options.train.ema_decay:
            reason = f'is required by {name}, which compares with the averaged network: 0.999.'
            problems.add('train.ema_decay', reason)
        if 'negative' in inputs and not multi_gt:
            problems.add(name, 'needs a training set of type MultiGTDataset, with labels.')
