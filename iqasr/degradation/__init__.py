"""Degradations: from the original ground truth to the low-quality input, and the pair pool.

A degradation is a registered subclass of `Degradation`, named by `type:` in an option file. Its
stages are pure functions of an image and of drawn parameters (`kernels`, `noise`, `jpeg`,
`stages`); what is drawn is described by `Stage`, whose fields an option file may set.
"""

from .base import Degradation, from_uint8, to_uint8
from .bicubic import BicubicDegradation
from .first_order import FirstOrderDegradation
from .options import FinalSinc, FirstStage, SecondStage, SingleStage, Stage
from .pair_pool import PairPool
from .second_order import SecondOrderDegradation

__all__ = [
    'Degradation',
    'BicubicDegradation',
    'FirstOrderDegradation',
    'SecondOrderDegradation',
    'Stage',
    'SingleStage',
    'FirstStage',
    'SecondStage',
    'FinalSinc',
    'PairPool',
    'from_uint8',
    'to_uint8',
]
