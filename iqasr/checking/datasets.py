"""Check the data sets of an option file, and what the samples of the training set are made of."""

import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from iqasr.checking.basicsr_datasets import BASICSR_DATASETS
from iqasr.checking.components import (
    check_by_building,
    check_component,
    find_class,
    refuse_random_fusion,
)
from iqasr.data.checks.file_checks import ROOTS
from iqasr.data.multi_gt_dataset import ONE_ROOT
from iqasr.options.schema import Problems, check_section, schema_names
from iqasr.options.sections import LoaderOptions, Options, QualityOptions
from iqasr.registry import (
    DATASET_REGISTRY,
    DEGRADATION_REGISTRY,
    GT_SAMPLER_REGISTRY,
    SCORER_REGISTRY,
    lookup,
    nearest,
    takes_options,
)

logger = logging.getLogger('iqasr')

SUITABLE = {
    'train': ('MultiGTDataset', 'PairedImageDataset', 'RealESRGANPairedDataset'),
    'val': ('PairedImageDataset', 'SingleImageDataset', 'EvaluationDataset'),
    'test': ('PairedImageDataset', 'SingleImageDataset', 'EvaluationDataset'),
}
"""Data sets of BasicSR and iqasr by phase; those registered elsewhere serve any."""

BACKENDS = ('disk', 'lmdb')

LOADER = tuple(LoaderOptions.model_fields)


def check_datasets(problems: Problems, options: Options, phase: str) -> None:
    """Check all data sets; values are converted in place."""
    for key, section in options.datasets.items():
        options.datasets[key] = check_dataset(problems, key, section, options.scale)
    for kind in ('val', 'test'):
        names = [s.get('name', key) for key, s in options.datasets_of(kind).items()]
        for name in sorted({name for name in names if names.count(name) > 1}):
            problems.add('datasets', f"two are called '{name}'; rename one.")
    if not options.datasets_of(phase):
        problems.add('datasets', f"has no '{phase}' section.")


def check_dataset(
    problems: Problems, key: str, section: Mapping[str, Any], scale: int | None
) -> dict[str, Any]:
    """Check a data set against the options of its loader and its own constructor."""
    path, phase = f'datasets.{key}', key.split('_')[0]
    if not re.fullmatch(r'train|(val|test)(_\w+)?', key):
        problems.add(path, 'call it train, val, val_2, ..., test, or test_2, ...')
        return dict(section)
    cls = find_class(problems, path, section, partial(lookup, DATASET_REGISTRY))
    if cls is None:
        return dict(section)
    name = cls.__name__
    if cls.__module__.startswith(('basicsr.', 'iqasr.')) and name not in SUITABLE[phase]:
        listing = ', '.join(SUITABLE[phase])
        problems.add(f'{path}.type', f'{name} cannot be used here; use {listing}.')
        return dict(section)
    loader = {k: v for k, v in section.items() if k in LOADER}
    own = {k: v for k, v in section.items() if k not in LOADER}
    checked = check_section(problems, path, loader, LoaderOptions)
    if takes_options(cls) and name not in BASICSR_DATASETS:
        logger.info('%s: %s takes one dict; its options are passed on unchecked.', path, name)
        return own | checked
    schema = BASICSR_DATASETS.get(name, cls)
    known = set(schema_names(schema, ('scale',)))
    for unknown in sorted(own.keys() - known):
        names = sorted(known.union(LOADER))
        hint = nearest(unknown, names) or f' There are: {", ".join(names)}.'
        problems.add(f'{path}.{unknown}', f'unknown option.{hint}')
    own = {k: v for k, v in own.items() if k in known}
    backend = section.get('io_backend', {'type': 'disk'})
    if not isinstance(backend, Mapping) or backend.get('type') not in BACKENDS:
        problems.add(f'{path}.io_backend', f'give a type: {", ".join(BACKENDS)}.')
    if name in BASICSR_DATASETS:
        check_roots(problems, path, own, phase)
    if phase == 'train' and name in BASICSR_DATASETS:
        check_crop(problems, f'{path}.gt_size', own.get('gt_size'), scale)
    checked = {'type': section['type']} | checked
    checked |= check_section(problems, path, own, schema, ('scale',))
    return check_samples(problems, path, checked, scale) if 'sampling' in known else checked


def check_roots(problems: Problems, path: str, section: Mapping[str, Any], phase: str) -> None:
    """Check that lists of folders are as long as each other, and for training."""
    roots = {key: section[key] for key in ROOTS if isinstance(section.get(key), list)}
    if roots and phase != 'train':
        problems.add(f'{path}.{min(roots)}', 'give one folder; further sets: val_2, test_2, ...')
    elif roots and not (len(roots) == 2 and len({len(r) for r in roots.values()} - {0}) == 1):
        problems.add(path, f'give {" and ".join(ROOTS)} equally many folders, at least one each.')
    elif roots and any(section.get(key) for key in ('meta_info', 'meta_info_file')):
        problems.add(path, 'a list of images goes with one dataroot_gt and one dataroot_lq.')


def check_crop(problems: Problems, path: str, size: Any, scale: int | None) -> None:
    """Check the size of crops, if it is of the right kind at all."""
    if size is None:
        problems.add(path, 'is required and missing.')
    elif isinstance(size, int) and scale and size % scale:
        problems.add(path, f'is {size}; use a multiple of scale, {scale}.')


def check_samples(
    problems: Problems, path: str, section: dict[str, Any], scale: int | None
) -> dict[str, Any]:
    """Check sampling, quality, degradation and pair pool, which belong together."""
    if section.get('sampling') is None:
        if section.get('originals') is True:
            section['sampling'] = {'type': 'UniformSampler', 'candidates': 'original'}
        else:
            problems.add(f'{path}.sampling', 'is required and missing.')
    if isinstance(section.get('dataroot_gt'), list) and not section.get('originals'):
        problems.add(f'{path}.dataroot_gt', ONE_ROOT)
    sampler = check_by_building(problems, f'{path}.sampling', section, GT_SAMPLER_REGISTRY)
    quality = section.get('quality')
    if sampler is not None and sampler.needs_quality != (quality is not None):
        reason = 'is required by' if sampler.needs_quality else 'is not used by'
        # A map also says where crops lie: other policies can be compared at the same places.
        if sampler.needs_quality or not (isinstance(quality, Mapping) and 'map' in quality):
            problems.add(f'{path}.quality', f'{reason} {section["sampling"]["type"]}.')
    if isinstance(quality, Mapping):
        section['quality'] = check_quality(problems, f'{path}.quality', quality)
    if section.get('degradation') is None:
        problems.add(f'{path}.degradation', f'is required by {section["type"]}.')
    place = f'{path}.degradation'
    check_by_building(problems, place, section, DEGRADATION_REGISTRY, scale=scale)
    pool, batch = section.get('queue_size', 0), section.get('batch_size_per_gpu', 1)
    if isinstance(pool, int) and isinstance(batch, int) and batch > 0 and pool % batch:
        problems.add(f'{path}.queue_size', f'{pool} is no multiple of the batch, {batch}.')
    return section


def check_quality(problems: Problems, path: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Check where the quality of candidates comes from."""
    section = check_section(problems, path, section, QualityOptions)
    scorer = section.get('scorer')
    if section.get('table') and section.get('map'):
        problems.add(path, 'give a table or a map, not both.')
    if section.get('table') or section.get('map'):
        if isinstance(scorer, Mapping):
            reason = 'with a table or map, give the name of one of its scorers, or nothing.'
            problems.add(f'{path}.scorer', reason)
        return section
    if not isinstance(scorer, Mapping):
        problems.add(path, 'give a table, a map, or a scorer as {type: ...}.')
        return section
    section['scorer'] = check_component(problems, f'{path}.scorer', scorer, SCORER_REGISTRY)
    refuse_random_fusion(problems, f'{path}.scorer', scorer)
    if section.get('norm') == 'zscore_dataset':
        problems.add(f'{path}.norm', 'zscore_dataset needs a table or map.')
    return section
