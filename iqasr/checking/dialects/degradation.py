"""Degradations as Real-ESRGAN and HGGT write them: top-level options, and options of the data set.

Source:
    See `iqasr.checking.dialects.families`.
"""

from collections.abc import Mapping
from typing import Any

from iqasr.checking.dialects.account import Account

MODES = ('up', 'down', 'keep')
REAL_ESRGAN_SIZES = [7, 21]
"""Sides of a kernel, which Real-ESRGAN's data set does not take from its options."""

OF_MODEL = (
    'resize_prob',
    'resize_range',
    'gaussian_noise_prob',
    'noise_range',
    'poisson_scale_range',
    'gray_noise_prob',
    'jpeg_range',
)
"""Options of a stage that stand at the top level, the second stage's with a 2 behind."""

OF_DATASET = ('kernel_prob', 'sinc_prob', 'blur_sigma', 'betag_range', 'betap_range')
"""Options of a stage that stand in the data set."""

OTHERS = ('kernel_list', 'blur_kernel_size', 'blur_kernel_size_min', 'blur_kernel_size_max')
"""Options of the data set that are expressed otherwise here."""

OF_SECOND = {'': 'second_blur_prob', 'datasets.train.': 'final_sinc_prob'}
"""Options that only two stages have, by the path before them."""


def is_degrading(key: str) -> bool:
    """Tell whether an option, of the top level or a data set, describes a degradation."""
    known = {*OF_MODEL, *OF_DATASET, *OTHERS}
    return key in OF_SECOND.values() or key.removesuffix('2') in known


def take_degradation(
    content: dict[str, Any], dataset: dict[str, Any], stages: int, account: Account
) -> dict[str, Any]:
    """Take the options of a degradation out of an option file and its training set.

    Args:
        content: The option file; what is understood is removed.
        dataset: Its training set; likewise.
        stages: 1 or 2.
        account: What became of them.

    Returns:
        The section ``degradation``.
    """
    if stages == 1:
        stage = _take_stage(content, dataset, '', 'degradation.stage', account)
        return {'type': 'FirstOrderDegradation', 'stage': stage}
    first = _take_stage(content, dataset, '', 'degradation.first', account)
    second = _take_stage(content, dataset, '2', 'degradation.second', account)
    final = {}
    for (before, key), place in zip(OF_SECOND.items(), (content, dataset), strict=True):
        if key not in place:
            continue
        target, name = (second, 'blur_prob') if not before else (final, 'prob')
        target[name] = place.pop(key)
        where = 'second' if not before else 'final_sinc'
        account.note(before + key, target[name], f'degradation.{where}.{name}')
    if 'blur_kernel_size' in second:  # HGGT draws both from one range
        final['kernel_size'] = second['blur_kernel_size']
    return {
        'type': 'SecondOrderDegradation',
        'first': first,
        'second': second,
        'final_sinc': final,
    }


def _take_stage(
    content: dict[str, Any], dataset: dict[str, Any], suffix: str, path: str, account: Account
) -> dict[str, Any]:
    stage: dict[str, Any] = {}
    kinds = dataset.pop(f'kernel_list{suffix}', None)
    for place, before, names in ((content, '', OF_MODEL), (dataset, 'datasets.train.', OF_DATASET)):
        for name in names:
            key = name + suffix
            if key not in place:
                continue
            was = place.pop(key)
            labels = {'resize_prob': MODES, 'kernel_prob': kinds}.get(name)
            stage[name] = named(was, labels) if labels is not None else was
            account.note(before + key, was, f'{path}.{name}')
    sizes = _take_sizes(dataset, suffix, path, account)
    return stage | ({} if sizes is None else {'blur_kernel_size': sizes})


def named(values: Any, names: Any) -> Any:
    """Name the numbers of a list; as it is, for the check to refuse, if the two do not match."""
    both_lists = isinstance(values, list) and isinstance(names, list | tuple)
    if not both_lists or len(values) != len(names):
        return values
    return dict(zip(names, values, strict=True))


def _take_sizes(
    dataset: dict[str, Any], suffix: str, path: str, account: Account
) -> list[int] | None:
    """Find the sides of a kernel: HGGT's v stands for 2v + 1; Real-ESRGAN's are fixed."""
    before = f'datasets.train.blur_kernel_size{suffix}'
    fixed = dataset.pop(f'blur_kernel_size{suffix}', None)
    if fixed is not None:
        account.note(before, fixed, f'{path}.blur_kernel_size: {REAL_ESRGAN_SIZES}')
        if fixed != REAL_ESRGAN_SIZES[1]:
            reason = f'Real-ESRGAN draws kernels of 7 to 21 px whatever it says; {fixed} is left.'
            account.warn(before, reason)
        return list(REAL_ESRGAN_SIZES)
    ends = [dataset.pop(f'blur_kernel_size_{end}{suffix}', None) for end in ('min', 'max')]
    if not all(isinstance(end, int) for end in ends):
        return None
    sizes = [2 * end + 1 for end in ends]
    account.note(f'datasets.train.blur_kernel_size_min{suffix}, _max{suffix}', ends,
                 f'{path}.blur_kernel_size: {sizes}')  # fmt: skip
    return sizes


def left_over(section: Mapping[str, Any]) -> list[str]:
    """List the options that describe a degradation, where nothing is degraded."""
    return [key for key in section if is_degrading(key)]
