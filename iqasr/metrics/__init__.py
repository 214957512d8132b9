"""Metrics for validation and test."""

from iqasr.metrics.base_distance import calculate_base_distance
from iqasr.metrics.checkerboard import calculate_checkerboard
from iqasr.metrics.fidelity import calculate_niqe, calculate_psnr, calculate_ssim
from iqasr.metrics.high_frequency import calculate_high_frequency
from iqasr.metrics.lr_psnr import calculate_lr_psnr
from iqasr.metrics.metric import (
    IMAGES,
    Metric,
    build_metric,
    has_no_direction,
    needs_base,
    register_metric,
)
from iqasr.metrics.panel import build_metrics
from iqasr.metrics.quality_metric import calculate_quality, calculate_worst_tile
