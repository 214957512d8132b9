"""From checked options to data sets, scorers and the model."""

import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iqasr.data.candidates.candidate_set import is_lmdb
from iqasr.data.candidates.originals import read_list
from iqasr.data.checks.candidate_checks import check_image_folder, check_other_files
from iqasr.data.checks.pair_checks import check_listed_pairs, check_pairs, check_store_pairs
from iqasr.data.evaluation_dataset import EvaluationDataset
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.raw_pairs import RawPairs
from iqasr.data.scores.quality_map import QualityMap
from iqasr.data.scores.quality_table import QualityTable
from iqasr.data.stores.lmdb_reader import check_lmdb
from iqasr.data.stores.raw_reader import is_raw
from iqasr.losses import term_inputs
from iqasr.models import RestorationModel
from iqasr.models.choice import GTChoice
from iqasr.options.optimizers import DATASETS, INJECTED
from iqasr.options.sections import LoaderOptions, Options
from iqasr.quality import QualityScorer
from iqasr.registry import DATASET_REGISTRY, GT_SAMPLER_REGISTRY, SCORER_REGISTRY, build
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.paths import resolve
from iqasr.sampling import GTSampler

logger = logging.getLogger('iqasr')

PATHS = ('dataroot', 'meta_info', 'table', 'pretrain_network')


def find_paths(section: Mapping[str, Any]) -> dict[str, Any]:
    """Make the paths of a section absolute."""
    return {
        key: str(resolve(value)) if key.startswith(PATHS) and isinstance(value, str) else value
        for key, value in section.items()
    }


def choose_seed(options: Options, process: Process) -> int:
    """Take the seed of the option file, or draw one that all processes share."""
    seed = options.manual_seed
    return process.gather(secrets.randbelow(10_000) if seed is None else seed)[0]


def loader_options(section: Mapping[str, Any]) -> LoaderOptions:
    """Select the loader's options from the section of a data set."""
    known = LoaderOptions.model_fields
    return LoaderOptions(**{key: value for key, value in section.items() if key in known})


def build_sampler(options: Options) -> GTSampler:
    """Build the policy that chooses ground truths."""
    return build(GT_SAMPLER_REGISTRY, options.sampling)


def build_choice(options: Options, process: Process) -> GTChoice | None:
    """Build what carries out the choice; None for paired data."""
    if options.sampling is None:
        return None
    quality = options.quality
    if quality is None or not quality.online:
        return GTChoice(build_sampler(options))
    scorer: QualityScorer = build(SCORER_REGISTRY, quality.scorer)
    sizes = [section.get('gt_size', 0) for section in options.datasets_of('train').values()]
    if sizes and min(sizes) < scorer.min_size:
        raise OptionError(
            f'datasets.train.gt_size: {min(sizes)} px are too few for {scorer.name}, which needs '
            f'{scorer.min_size}. Use larger crops, or another quality.scorer.'
        )
    return GTChoice(build_sampler(options), scorer.to(process.device), quality.norm)


def build_dataset(section: Mapping[str, Any], options: Options, phase: str) -> Any:
    """Build a data set.

    Args:
        section: Its checked section.
        options: The whole file.
        phase: ``train``, ``val`` or ``test``.

    Raises:
        DataError: If the data cannot be used; the message lists the files.
    """
    section = find_paths(section)
    own = {k: v for k, v in section.items() if k not in LoaderOptions.model_fields}
    if section['type'] == 'EvaluationDataset':
        dataset = EvaluationDataset(**own, scale=options.scale)
    elif section['type'] == 'MultiGTDataset':
        dataset = MultiGTDataset(**own, **dict(zip(INJECTED, injected(options), strict=True)))
    else:
        section.setdefault('io_backend', {'type': 'disk'})
        drop_missing_list(section)
        section['io_backend'] = dict(section['io_backend'])
        if phase == 'train' and section['type'] in DATASETS['train']:
            section = {'use_hflip': False, 'use_rot': False} | section
        check_files(section, options.scale, phase)
        try:
            dataset = raw_pairs(section, options.scale, phase) or build(
                DATASET_REGISTRY, section, phase=phase, scale=options.scale
            )
        except (KeyError, TypeError, AssertionError) as error:
            raise DataError(
                f'{section["type"]} cannot be built from its options: {error!r}.'
            ) from error
        sort_files(dataset, section)
    if isinstance(dataset, EvaluationDataset | MultiGTDataset):
        logger.info(
            '%s: %d images; %d without an allowed candidate are left out.',
            section.get('name', phase),
            len(dataset),
            dataset.dropped,
        )
        if problems := dataset.check():
            raise DataError(problems)
    if len(dataset) == 0:
        raise DataError(f'{section.get("dataroot_gt")}: holds no images.')
    return dataset


def raw_pairs(section: Mapping[str, Any], scale: int, phase: str) -> RawPairs | None:
    """Build the data set of two raw stores; None where the roots are something else."""
    roots = [section.get(key) for key in ('dataroot_gt', 'dataroot_lq')]
    if section['type'] != 'PairedImageDataset' or not all(roots) or not is_raw(roots[0]):
        return None
    training = phase == 'train'
    turns = {key: section.get(key, False) and training for key in ('use_hflip', 'use_rot')}
    gt_size = section['gt_size'] if training else None
    template = section.get('filename_tmpl') or '{}'
    return RawPairs(*roots, scale=scale, gt_size=gt_size, filename_tmpl=template, **turns)


def drop_missing_list(section: dict[str, Any]) -> None:
    """Do without the list of images that BasicSR keeps in its repository, if it is not here."""
    listing = section.get('meta_info_file')
    if listing and 'basicsr/data/meta_info/' in listing and not Path(listing).is_file():
        logger.warning(
            '%s is not here: all images of %s are used.', listing, section.get('dataroot_gt')
        )
        del section['meta_info_file']


def listing_of(section: Mapping[str, Any]) -> str | None:
    """Find the file that lists the images; without one, BasicSR takes all files of the folder."""
    return section.get('meta_info_file') or section.get('meta_info')


def sort_files(dataset: Any, section: Mapping[str, Any]) -> None:
    """Put the images of a folder in order, which BasicSR leaves to the file system."""
    if not listing_of(section) and isinstance(getattr(dataset, 'paths', None), list):
        dataset.paths.sort(key=str)


def injected(options: Options) -> tuple[Any, ...]:
    """What `MultiGTDataset` receives from other sections, in the order of `INJECTED`."""
    quality = options.quality
    table = None
    if quality is not None and quality.table is not None:
        table = QualityTable.read(resolve(quality.table), quality.scorer)
    elif quality is not None and quality.map is not None:
        table = QualityMap.read(resolve(quality.map), quality.scorer)
    online = quality is not None and quality.online
    norm = 'none' if quality is None else quality.norm
    terms = options.train.terms.values() if options.train is not None else ()
    negatives = any('negative' in term_inputs(section) for section in terms)
    return options.scale, build_sampler(options), table, norm, online, negatives


def check_files(section: Mapping[str, Any], scale: int, phase: str) -> None:
    """Inspect the images of an ordinary data set before anything trains on them.

    Raises:
        DataError: With the files that are unreadable, unsuitable or wrongly paired.
    """
    backend = section['io_backend']['type']
    roots = [section[k] for k in ('dataroot_gt', 'dataroot_lq') if section.get(k)]
    missing = [root for root in roots if not Path(root).is_dir()]
    if missing:
        raise DataError(
            f'{", ".join(missing)}: no such folder, neither here nor in the project. Check '
            f'the dataroot options of {section.get("name", phase)}.'
        )
    check_backend(section, roots)
    training = phase == 'train'
    sizes = {'exact': training, 'min_size': section.get('gt_size') or 1 if training else 1}
    template = section.get('filename_tmpl') or '{}'
    problems = []
    if any(is_raw(root) for root in roots):
        refuse_mixed_roots(section, roots)
        problems += check_store_pairs(*roots, scale, **sizes, filename_tmpl=template)
        backend = 'raw'
    elif backend == 'lmdb':
        for root in roots:
            check_lmdb(root)
        if len(roots) == 2:
            problems += check_store_pairs(*roots, scale, **sizes)
    elif len(roots) == 2:
        problems += check_folders(section, roots, scale, sizes)
    else:
        problems += [p for r in roots for p in check_image_folder(r, allow_grey=not training)]
    if backend == 'disk' and not listing_of(section):
        problems += [problem for root in roots for problem in check_other_files(root)]
    if problems:
        raise DataError(problems)


def check_backend(section: Mapping[str, Any], roots: Sequence[str]) -> None:
    """Check that what the images are kept in is what ``io_backend`` says, and listed rightly.

    Raises:
        DataError: If it is not.
    """
    if any(is_raw(root) for root in roots):
        return
    backend = section['io_backend']['type']
    for root in roots:
        if backend == 'disk' and is_lmdb(root):
            raise DataError(f'{root}: is an LMDB. Set io_backend: {{type: lmdb}}.')
        if backend == 'lmdb' and not root.endswith('.lmdb'):
            raise DataError(f'{root}: BasicSR reads LMDBs named *.lmdb only. Rename the folder.')
    if backend == 'disk' and section.get('meta_info_file'):
        read_list(roots[0], section['meta_info_file'])


def check_folders(
    section: Mapping[str, Any], roots: Sequence[str], scale: int, sizes: Mapping[str, Any]
) -> list[str]:
    """Check two folders that are paired by a list or by the names in them."""
    if section.get('meta_info'):
        return check_listed_pairs(*roots, section['meta_info'], scale, **sizes)
    template = section.get('filename_tmpl') or '{}'
    allow_grey = not sizes['exact']
    return check_pairs(*roots, scale, **sizes, filename_tmpl=template, allow_grey=allow_grey)


def refuse_mixed_roots(section: Mapping[str, Any], roots: Sequence[str]) -> None:
    """Refuse what cannot be read from raw stores.

    Raises:
        DataError: If it is not a pair of raw stores, read as it is.
    """
    name = section.get('name', 'the data set')
    if section['type'] != 'PairedImageDataset' or len(roots) != 2 or not all(map(is_raw, roots)):
        raise DataError(
            f'{", ".join(roots)}: a raw store serves as dataroot_gt of MultiGTDataset, or as both '
            f'dataroots of PairedImageDataset. Give {name} two raw stores, folders or LMDBs.'
        )
    extra = [key for key in ('color', 'mean', 'std', 'meta_info_file') if section.get(key)]
    if extra:
        raise DataError(
            f'{name}: {", ".join(extra)} cannot be used with raw stores. Remove it, or use folders.'
        )


def build_model(
    options: Options, process: Process, seed: int, forms: Mapping[str, str] | None = None
) -> RestorationModel:
    """Build the model with its networks on this process's device; `forms` of a run to continue."""
    paths = options.path
    for key in ('pretrain_network_g', 'pretrain_network_d'):
        if getattr(paths, key) is not None:
            setattr(paths, key, str(resolve(getattr(paths, key))))
    return RestorationModel(options, process, seed, build_choice(options, process), forms)
