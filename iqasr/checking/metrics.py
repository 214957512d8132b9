"""Check what is measured: ``val.metrics``, ``val.panel``, ``val.guard``."""

from collections.abc import Mapping
from typing import Any

from iqasr.checking.components import check_component, refuse_random_fusion, without
from iqasr.metrics import IMAGES, has_no_direction, needs_base
from iqasr.options.schema import Problems
from iqasr.options.sections import GuardOptions, Options, ValOptions
from iqasr.quality import scorer_section
from iqasr.registry import METRIC_REGISTRY, nearest


def check_metrics(problems: Problems, options: Options, phase: str) -> None:
    """Check everything that is measured; values are converted in place."""
    val = options.val
    for key, section in val.metrics.items():
        path = f'val.metrics.{key}'
        val.metrics[key] = check_metric(problems, path, section)
        if needs_base(section) and (phase != 'train' or options.path.pretrain_network_g is None):
            reason = 'compares with the network that training starts from'
            problems.add(path, f'{reason}: needs path.pretrain_network_g, and training.')
    check_panel(problems, val)
    if val.guard is not None:
        check_guard(problems, val.guard, val.metrics)
        if phase == 'train' and not options.datasets_of('val'):
            problems.add('val.guard', 'needs a data set to validate on: datasets.val.')


def check_metric(problems: Problems, path: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Check a metric; ``better`` belongs to the report, not to the function."""
    better = section.get('better')
    if better not in (None, 'higher', 'lower'):
        problems.add(f'{path}.better', f"should be 'higher' or 'lower', not {better!r}.")
    if str(section.get('type')).endswith('_pt'):
        name = section['type'].removesuffix('_pt')
        problems.add(f'{path}.type', f'{section["type"]} takes tensors; use {name}.')
    checked = check_component(problems, path, without(section, 'better'), METRIC_REGISTRY, IMAGES)
    border = checked.get('crop_border')
    if border is not None and not (isinstance(border, int) and border >= 0):
        problems.add(f'{path}.crop_border', f'should be a whole number from 0 on, not {border!r}.')
    refuse_random_fusion(problems, f'{path}.scorer', checked.get('scorer'))
    return checked | ({'better': better} if better else {})


def check_panel(problems: Problems, val: ValOptions) -> None:
    """Check that there are scorers of the names in the panel."""
    for name in val.panel:
        try:
            scorer_section(name)
        except ValueError as error:
            problems.add('val.panel', str(error))
        except ImportError:
            continue  # it is left out, as a metric without weights is
        if name in val.metrics or val.panel.count(name) > 1:
            problems.add('val.panel', f"'{name}' is measured already; name it once.")


def check_guard(
    problems: Problems, guard: GuardOptions, metrics: Mapping[str, Mapping[str, Any]]
) -> None:
    """Check that the guard watches metrics that are there and can rise and fall."""
    place = 'val.guard'
    for name in (guard.optimised, *guard.held_out):
        if name not in metrics:
            hint = nearest(name, metrics) or f' There are: {", ".join(metrics)}.'
            problems.add(place, f"no metric of val.metrics is called '{name}'.{hint}")
        elif needs_base(metrics[name]):
            problems.add(place, f'{name} starts at 0 and can only grow; leave it out.')
        elif has_no_direction(metrics[name]):
            problems.add(place, f'{name} has no better direction; give it `better`.')
    if len({guard.optimised, *guard.held_out}) <= len(guard.held_out):
        problems.add(f'{place}.held_out', 'give others than `optimised`, once each.')
    if guard.alarm is not None and guard.alarm > len(guard.held_out):
        reason = f'is {guard.alarm}, but held_out has only {len(guard.held_out)}.'
        problems.add(f'{place}.alarm', reason)
