"""Leave out, with a warning, what an option file of another tool says to nobody here."""

from collections.abc import Iterable, Mapping
from typing import Any

from iqasr.checking.dialects.account import Account
from iqasr.metrics import IMAGES
from iqasr.options.optimizers import INJECTED, find_optimizer, find_scheduler
from iqasr.options.schema import names_in, schema_names
from iqasr.options.sections import (
    LoaderOptions,
    LoggerOptions,
    Options,
    PathOptions,
    TrainOptions,
    ValOptions,
    WandbOptions,
)
from iqasr.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    Registry,
    lookup,
    nearest,
    takes_options,
)

FIXED = {
    '': Options,
    'path': PathOptions,
    'train': TrainOptions,
    'val': ValOptions,
    'logger': LoggerOptions,
    'logger.wandb': WandbOptions,
}
"""Sections of fixed options."""


def drop_unknown(content: dict[str, Any], account: Account) -> None:
    """Remove unknown options in place; what is of the wrong kind stays, for the check to refuse."""
    for path, schema in FIXED.items():
        section: Any = content
        for part in filter(None, path.split('.')):
            section = section.get(part) if isinstance(section, dict) else None
        known = [name for name in names_in(schema, ()) if name != '*_opt']
        _drop(section, path, known, account, ending='_opt' if path == 'train' else None)
    for key in ('network_g', 'network_d'):
        _drop_of_type(content.get(key), key, ARCH_REGISTRY, account)
    for key, section in _sections(content, 'datasets').items():
        _drop_of_type(section, f'datasets.{key}', DATASET_REGISTRY, account)
    train = _sections(content, 'train')
    for key, section in train.items():
        if key.endswith('_opt'):
            _drop_of_type(section, f'train.{key}', LOSS_REGISTRY, account)
    for key, find in (
        ('optim_g', find_optimizer),
        ('optim_d', find_optimizer),
        ('scheduler', find_scheduler),
    ):
        section = train.get(key, {})
        try:
            known = schema_names(find(section.get('type', '')), ())
        except ValueError:
            continue
        _drop(section, f'train.{key}', ['type', *known], account)
    _drop_metrics(content, account)


def _sections(content: Mapping[str, Any], *keys: str) -> dict[str, dict[str, Any]]:
    for key in keys:
        content = content.get(key) or {}
        if not isinstance(content, dict):
            return {}
    return {key: value for key, value in content.items() if isinstance(value, dict)}


def _drop(
    section: Any, path: str, known: Iterable[str], account: Account, ending: str | None = None
) -> None:
    if not isinstance(section, dict):
        return
    known = list(known)
    for key in [key for key in section if key not in known]:
        if ending is not None and str(key).endswith(ending):
            continue
        del section[key]
        where = f'{path}.{key}'.strip('.')
        account.warn(where, f'unknown option, left out.{nearest(str(key), known)}')


def _drop_of_type(section: Any, path: str, registry: Registry, account: Account) -> None:
    """Drop what the constructor of a section's type does not take; unknown types stay."""
    if not isinstance(section, dict):
        return
    try:
        cls = lookup(registry, section.get('type'))
    except ValueError:
        return
    own = ['type']
    provided: tuple[str, ...] = ()
    if registry is DATASET_REGISTRY:
        own += LoaderOptions.model_fields
        provided = ('phase', 'scale') if takes_options(cls) else INJECTED
    elif registry is METRIC_REGISTRY:
        own, provided = [*own, 'better'], IMAGES
    _drop(section, path, [*own, *schema_names(cls, provided)], account)


def _drop_metrics(content: dict[str, Any], account: Account) -> None:
    metrics = _sections(content, 'val', 'metrics')
    for key, section in metrics.items():
        path = f'val.metrics.{key}'
        try:
            lookup(METRIC_REGISTRY, section.get('type'))
        except ValueError:
            account.warn(path, f'no metric here is called {section.get("type")}; left out. '
                         'QualityMetric measures LPIPS and others by a scorer.')  # fmt: skip
            del content['val']['metrics'][key]
        else:
            _drop_of_type(section, path, METRIC_REGISTRY, account)
