"""Stage 8: metrics for validation and test."""

from iqasr.metrics.metric import Metric, QualityMetric, build_metric
