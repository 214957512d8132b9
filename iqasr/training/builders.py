"""From checked options to data sets, scorers and the model."""

import secrets
from collections.abc import Mapping
from typing import Any

from iqasr import data
from iqasr.checking.terms import needs
from iqasr.models import RestorationModel
from iqasr.models.choice import GTChoice
from iqasr.options.sections import LoaderOptions, Options
from iqasr.quality import QualityScorer
from iqasr.registry import GT_SAMPLER_REGISTRY, SCORER_REGISTRY, build
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.runtime.paths import resolve
from iqasr.sampling import GTSampler


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
        options: The whole file; says what the samples of a `MultiGTDataset` are made of.
        phase: ``train``, ``val`` or ``test``.

    Raises:
        DataError: If the data cannot be used; the message lists the files.
    """
    if section['type'] == 'MultiGTDataset':
        terms = options.train.terms.values() if options.train is not None else ()
        made_of = {
            'sampling': options.sampling,
            'quality': options.quality,
            'degradation': options.degradation,
            'queue_size': options.queue_size,
            'negatives': any(needs(term, 'negative') for term in terms),
        }
        section = dict(section) | made_of
    return data.build_dataset(section, scale=options.scale, phase=phase)


def build_model(
    options: Options, process: Process, seed: int, forms: Mapping[str, str] | None = None
) -> RestorationModel:
    """Build the model with its networks on this process's device; `forms` of a run to continue."""
    paths = options.path
    for key in ('pretrain_network_g', 'pretrain_network_d'):
        if getattr(paths, key) is not None:
            setattr(paths, key, str(resolve(getattr(paths, key))))
    return RestorationModel(options, process, seed, build_choice(options, process), forms)
