"""All metrics of a validation: those of ``val.metrics``, then the panel."""

import logging

import torch

from iqasr.metrics.metric import Metric, build_metric
from iqasr.options.sections import ValOptions
from iqasr.quality import scorer_section
from iqasr.runtime.errors import MissingWeightsError

logger = logging.getLogger('iqasr')


def build_metrics(val: ValOptions, device: torch.device) -> tuple[list[Metric], list[str]]:
    """Build the metrics of an option file.

    Args:
        val: Its section.
        device: Where the scorers of the panel work.

    Returns:
        The metrics, and the names of those in the panel that cannot be had here, for lack of
        weights or of a package; each has been reported.
    """
    metrics = [build_metric(name, section) for name, section in val.metrics.items()]
    missing = []
    for name in val.panel:
        section = {'type': 'QualityMetric', 'crop_border': val.panel_crop_border}
        try:
            scorer = {'scorer': scorer_section(name), 'device': str(device)}
            metrics.append(build_metric(name, section | scorer))
        except (MissingWeightsError, ImportError) as error:
            logger.error('val.panel: %s is left out: %s', name, error)
            missing.append(name)
    return metrics, missing
