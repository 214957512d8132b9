"""What ``--check`` does once everything is built: up to the first steps, without writing."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from torch.utils.data import Subset
from tqdm import tqdm

from iqasr.data.loader import left_unopened
from iqasr.evaluation.evaluate import dataset_name, evaluate
from iqasr.runtime.errors import DataError, OptionError
from iqasr.training.run import TrainingRun

logger = logging.getLogger('iqasr')


def check(training: TrainingRun) -> int:
    """Decode all data, restore one image of each set, take the first steps; write nothing."""
    data, model = training.train_set, training.model
    for images in (data, *(loader.dataset for loader in training.val_loaders)):
        decode(images)
    for loader in training.val_loaders:
        if training.is_ours:
            name, first = dataset_name(loader.dataset), Subset(loader.dataset, [0])
            how = {'name': name, 'process': training.process, 'base': model.base}
            check_borders(training, first[0])
            evaluate(model.restore, first, model.metrics, **how)
        else:
            model.feed_data(next(iter(loader)))
            model.test()
    with training.stream() as stream:
        for iteration in first_iterations(training):
            training.iteration = iteration - 1
            training.iterate(next(stream))
    if training.is_diverged():
        raise OptionError(
            f'After the first step, this is not finite: {training.name_non_finite()}. Lower the '
            'learning rate or the weight of the term.'
        )
    log = model.get_current_log()
    if math.isnan(log.get('quality_chosen', 0)):
        raise OptionError(
            'datasets.train.quality: the scorer gives no finite number for any candidate of the '
            'first batch, so that they would be drawn uniformly. Use another one, or larger crops.'
        )
    numbers = ', '.join(f'{name} {value:.3e}' for name, value in log.items())
    logger.info('Ready to train: %d images; first step: %s', len(data), numbers)
    return 0


def check_borders(training: TrainingRun, item: Mapping[str, Any]) -> None:
    """Check borders and tiles against the first image of a validation set.

    Raises:
        OptionError: If a border leaves nothing of it.
    """
    val, (height, width) = training.options.val, item['lq'].shape[-2:]
    side = min(height, width) * training.options.scale
    for name, section in val.metrics.items():
        border = section.get('crop_border') or 0
        if 2 * border >= side:
            raise OptionError(
                f'val.metrics.{name}.crop_border: {border} leaves nothing of an output of '
                f'{height * training.options.scale} x {width * training.options.scale} px.'
            )
    if 2 * val.panel_crop_border >= side:
        raise OptionError(f'val.panel_crop_border: {val.panel_crop_border} leaves nothing.')
    if val.tile_px is not None and val.tile_px >= max(height, width):
        logger.warning(
            'val.tile_px: %d; images of %d x %d px are restored whole.', val.tile_px, height, width
        )


def decode(data: Any) -> None:
    """Decode all images of a data set.

    Raises:
        DataError: If any is broken.
    """
    if hasattr(data, 'check'):
        if problems := data.check(decode=True):
            raise DataError(problems)
        return
    with left_unopened(data):
        for index in tqdm(range(len(data)), desc='reading', unit='image', disable=None):
            data[index]


def first_iterations(training: TrainingRun) -> list[int]:
    """List the next iteration, and the first after it in which the generator learns, too."""
    train, first = training.options.train, training.iteration + 1
    start = max(first, train.net_d_init_iters + 1)
    learning = start + -start % train.net_d_iters
    return [i for i in sorted({first, learning}) if i <= training.total]
