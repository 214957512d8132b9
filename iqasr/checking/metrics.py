"""Check the metrics of an option file: ``val.metrics``, ``val.panel``, ``val.guard``."""

from collections.abc import Mapping
from typing import Any

from iqasr.checking.section import SectionCheck
from iqasr.metrics import IMAGES, has_no_direction, needs_base
from iqasr.options.schema import Problems
from iqasr.options.sections import GuardOptions, Options
from iqasr.quality import scorer_section
from iqasr.registry import METRIC_REGISTRY, nearest


class MetricCheck(SectionCheck):
    """Checks of what is measured; findings go to `problems`."""

    def __init__(self, options: Options, phase: str, problems: Problems) -> None:
        super().__init__(problems)
        self.options = options
        self.phase = phase

    def metrics(self) -> None:
        """Check everything that is measured; values are converted in place."""
        val = self.options.val
        for key, section in val.metrics.items():
            val.metrics[key] = self.metric(f'val.metrics.{key}', section)
        self.panel()
        if val.guard is not None:
            self.guard(val.guard)

    def refuse_chance(self, path: str, scorer: Any) -> None:
        """Refuse an ensemble that draws a member where the same image must score the same."""
        if isinstance(scorer, Mapping) and scorer.get('fusion') == 'random':
            self.problems.add(f'{path}.fusion', 'random is for train.quality_opt only; use mean.')

    def metric(self, path: str, section: Mapping[str, Any]) -> dict[str, Any]:
        """Check a metric; ``better`` belongs to the report, not to the function."""
        better = section.get('better')
        if better not in (None, 'higher', 'lower'):
            self.problems.add(f'{path}.better', f"should be 'higher' or 'lower', not {better!r}.")
        bare = {key: value for key, value in section.items() if key != 'better'}
        checked = self.component(path, bare, METRIC_REGISTRY, IMAGES)
        if needs_base(section) and (
            self.phase != 'train' or self.options.path.pretrain_network_g is None
        ):
            reason = 'compares with the network that training starts from'
            self.problems.add(path, f'{reason}: needs path.pretrain_network_g, and training.')
        self.refuse_chance(f'{path}.scorer', checked.get('scorer') or {})
        return checked | ({'better': better} if better else {})

    def panel(self) -> None:
        """Check that there are scorers of the names in the panel."""
        for name in self.options.val.panel:
            try:
                scorer_section(name)
            except ValueError as error:
                self.problems.add('val.panel', str(error))
            except ImportError:
                continue  # it is left out, as a metric without weights is
            if name in self.options.val.metrics or self.options.val.panel.count(name) > 1:
                self.problems.add('val.panel', f"'{name}' is measured already; name it once.")

    def guard(self, guard: GuardOptions) -> None:
        """Check that the guard watches metrics that are there and can rise and fall."""
        metrics, place = self.options.val.metrics, 'val.guard'
        for name in (guard.optimised, *guard.held_out):
            if name not in metrics:
                hint = nearest(name, metrics) or f' There are: {", ".join(metrics)}.'
                self.problems.add(place, f"no metric of val.metrics is called '{name}'.{hint}")
            elif needs_base(metrics[name]):
                self.problems.add(place, f'{name} starts at 0 and can only grow; leave it out.')
            elif has_no_direction(metrics[name]):
                self.problems.add(place, f'{name} has no better direction; give it `better`.')
        if len({guard.optimised, *guard.held_out}) <= len(guard.held_out):
            self.problems.add(f'{place}.held_out', 'give others than `optimised`, once each.')
        if guard.alarm is not None and guard.alarm > len(guard.held_out):
            reason = f'is {guard.alarm}, but held_out has only {len(guard.held_out)}.'
            self.problems.add(f'{place}.alarm', reason)
        if self.phase == 'train' and not self.options.datasets_of('val'):
            self.problems.add(place, 'needs a data set to validate on: datasets.val.')
