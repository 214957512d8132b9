"""All metrics of a validation: those of ``val.metrics``, then the panel."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from iqasr.metrics.metric import Metric, build_metric
from iqasr.quality import scorer_section
from iqasr.runtime.errors import MissingWeightsError

logger = logging.getLogger('iqasr')


def build_metrics(
    sections: Mapping[str, Mapping[str, Any]],
    panel: Sequence[str] = (),
    *,
    panel_crop_border: int = 0,
    device: torch.device,
) -> tuple[list[Metric], list[str]]:
    """Build the metrics of an option file.

    Args:
        sections: ``val.metrics``.
        panel: Short names of further scorers.
        panel_crop_border: Pixels left out at each side for the panel.
        device: Where the scorers of the panel work.

    Returns:
        The metrics, and the names in the panel that cannot be measured here because weights or a
        package are missing; each has been reported.
    """
    metrics = [build_metric(name, section) for name, section in sections.items()]
    missing = []
    for name in panel:
        common = {'type': 'calculate_quality', 'crop_border': panel_crop_border}
        try:
            scorer = {'scorer': scorer_section(name), 'device': str(device)}
            metrics.append(build_metric(name, common | scorer))
        except (MissingWeightsError, ImportError) as error:
            logger.error('val.panel: %s is left out: %s', name, error)
            missing.append(name)
    return metrics, missing
