"""Translate ``datasets.train``: what a sample is made of, and how its input is degraded."""

from iqasr.checking.dialects.families import DEGRADING_DATASETS, DegradingDataset
from iqasr.checking.dialects.translation import Translation
from iqasr.runtime.errors import OptionError

TRAIN_SET = 'datasets.train'

SAMPLE_OPTIONS = ('sampling', 'quality', 'degradation', 'queue_size')
"""Options of `MultiGTDataset` that stood at the top level of our files before version 0.2."""

STAGE_OPTIONS = {
    '': ['resize_prob', 'resize_range', 'gaussian_noise_prob', 'noise_range', 'poisson_scale_range',
         'gray_noise_prob', 'jpeg_range'],
    f'{TRAIN_SET}.': ['kernel_prob', 'sinc_prob', 'blur_sigma', 'betag_range', 'betap_range'],
}  # fmt: skip
"""Options of a stage of degradation, by the path before them; in a second stage, they end in 2."""

DEGRADATION_OPTIONS = {
    *(name for names in STAGE_OPTIONS.values() for name in names),
    *('kernel_list', 'blur_kernel_size', 'blur_kernel_size_min', 'blur_kernel_size_max'),
    *('second_blur_prob', 'final_sinc_prob'),
}
"""All options that describe a degradation, without that 2."""

REAL_ESRGAN_SIZES = [7, 21]
"""Sides of a kernel, which Real-ESRGAN's data set does not take from its options."""

MARGIN_PX = 64
"""Margin of `MultiGTDataset`, if the scale divides it."""

POOL_SIZE = 180
"""Size of Real-ESRGAN's and HGGT's pool of pairs where the file says nothing."""


def move_sample_options(file: Translation) -> None:
    """Move `SAMPLE_OPTIONS` from the top level into the training set, if there is one.

    Raises:
        OptionError: If one is given in both places.
    """
    if file.get(f'{TRAIN_SET}.type') != 'MultiGTDataset' and file.get('queue_size') == 0:
        file.pop('queue_size')  # a default that stands in every run's copy of its options
    dataset = file.get(TRAIN_SET)
    given = [key for key in SAMPLE_OPTIONS if key in file.options]
    if not given or not isinstance(dataset, dict):
        return
    for key in given:
        if key in dataset:
            raise OptionError(
                f'{key} and {TRAIN_SET}.{key} are both given; keep {TRAIN_SET}.{key}.'
            )
        file.move(key, f'{TRAIN_SET}.{key}')


def translate_training_set(file: Translation) -> None:
    """Turn a data set that degrades its images into one of ours; others degrade nothing."""
    name = file.get(f'{TRAIN_SET}.type')
    dataset = DEGRADING_DATASETS.get(str(name))
    degraded = any(file.get(path) for path in ('degradation', f'{TRAIN_SET}.degradation'))
    if dataset is not None:
        translate_degrading_dataset(file, dataset)
    elif name == 'MultiGTDataset' or degraded:
        move_sample_options(file)
    else:
        for key in ('queue_size', 'gt_size'):
            file.drop(key, 'left out, since nothing is degraded here.')
    high_order = file.pop('high_order_degradation')
    if None not in (high_order, name) and bool(high_order) != (dataset is not None):
        reason = (
            'is paired and not degraded' if high_order else 'has no LQ; its images are degraded'
        )
        file.warn('high_order_degradation', f'is {str(high_order).lower()}, but {name} {reason}.')


def translate_degrading_dataset(file: Translation, dataset: DegradingDataset) -> None:
    """Take apart a data set that degrades its images."""
    was, own = file.get(f'{TRAIN_SET}.type'), file.get(f'{TRAIN_SET}.gt_size')
    scale, crop, batch = map(file.get, ('scale', 'gt_size', f'{TRAIN_SET}.batch_size_per_gpu'))
    file.put(f'{TRAIN_SET}.type', 'MultiGTDataset')
    file.pop(f'{TRAIN_SET}.io_backend')  # told from the folder
    if dataset.originals:
        file.put(f'{TRAIN_SET}.originals', True)
    if dataset.candidates == 'original':
        file.drop(f'{TRAIN_SET}.dataroot_labels', f'left out, since {was} needs no labels.')
    sampling = {'type': 'UniformSampler', 'candidates': dataset.candidates}
    file.put(f'{TRAIN_SET}.sampling', sampling)
    translate_degradation(file, dataset)
    file.move(f'{TRAIN_SET}.meta_info_file', f'{TRAIN_SET}.meta_info')
    if isinstance(scale, int) and scale > 0 and MARGIN_PX % scale:
        file.put(f'{TRAIN_SET}.margin', MARGIN_PX // scale * scale)
    if crop not in (None, own):
        reason = f'{own} is left out: gt_size of the top level, {crop}, crops.'
        file.drop(f'{TRAIN_SET}.gt_size', reason)
    file.move('gt_size', f'{TRAIN_SET}.gt_size')
    if dataset.stages == 0:
        return
    size, batch = file.options.setdefault('queue_size', POOL_SIZE), 1 if batch is None else batch
    if all(isinstance(n, int) and n > 0 for n in (size, batch)) and size % batch:
        file.options['queue_size'] = rounded = size // batch * batch
        reason = f'{size} is no multiple of the batch, {batch}: {rounded} instead.'
        file.warn('queue_size', reason)
    file.move('queue_size', f'{TRAIN_SET}.queue_size')


def translate_degradation(file: Translation, dataset: DegradingDataset) -> None:
    """Gather the options of a degradation in ``datasets.train.degradation``."""
    place = f'{TRAIN_SET}.degradation'
    if dataset.stages == 0:
        file.put(f'{place}.type', 'BicubicDegradation')
        return
    if dataset.stages == 1:
        file.put(f'{place}.type', 'FirstOrderDegradation')
        translate_stage(file, f'{place}.stage', '', dataset)
        return
    file.put(f'{place}.type', 'SecondOrderDegradation')
    translate_stage(file, f'{place}.first', '', dataset)
    translate_stage(file, f'{place}.second', '2', dataset)
    file.move('second_blur_prob', f'{place}.second.blur_prob')
    file.move(f'{TRAIN_SET}.final_sinc_prob', f'{place}.final_sinc.prob')
    sizes = file.get(f'{place}.second.blur_kernel_size')
    if sizes is not None:  # HGGT draws both from one range
        file.put(f'{place}.final_sinc.kernel_size', sizes)


def translate_stage(file: Translation, place: str, suffix: str, dataset: DegradingDataset) -> None:
    """Gather the options of a stage, whose names end in `suffix`.

    Lists of probabilities become mappings, or stay for the check to refuse. Of kernel sizes, HGGT's
    v stands for 2v + 1, and Real-ESRGAN's are fixed.
    """
    for before, names in STAGE_OPTIONS.items():
        for name in names:
            file.move(f'{before}{name}{suffix}', f'{place}.{name}')
    kinds = file.pop(f'{TRAIN_SET}.kernel_list{suffix}')
    for name, labels in (('resize_prob', ['up', 'down', 'keep']), ('kernel_prob', kinds)):
        values = file.get(f'{place}.{name}')
        if isinstance(values, list) and isinstance(labels, list) and len(values) == len(labels):
            file.get(place)[name] = dict(zip(labels, values, strict=True))
    size = f'{TRAIN_SET}.blur_kernel_size'
    fixed, low, high = (file.pop(f'{size}{end}{suffix}') for end in ('', '_min', '_max'))
    if fixed not in (None, REAL_ESRGAN_SIZES[1]):
        reason = f'{fixed} is left out: Real-ESRGAN draws 7 to 21 px whatever it says.'
        file.warn(size + suffix, reason)
    if fixed is not None:
        file.put(f'{place}.blur_kernel_size', list(REAL_ESRGAN_SIZES), size + suffix)
    elif isinstance(low, int) and isinstance(high, int):
        sizes = [2 * low + 1, 2 * high + (1 if dataset.largest_kernel else -1)]
        file.put(f'{place}.blur_kernel_size', sizes, size + suffix)
