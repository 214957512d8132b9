"""Degradations: from the original ground truth to the low-quality input, and the pair pool.

A degradation is a registered subclass of `Degradation`, named by `type:` in an option file. Its
stages are pure functions of an image and of drawn parameters (`kernels`, `noise`, `jpeg`,
`stages`); what is drawn is described by `Stage`, whose fields an option file may set.
"""

from iqasr.degradation.base import Degradation, from_uint8, to_uint8
from iqasr.degradation.bicubic import BicubicDegradation
from iqasr.degradation.first_order import FirstOrderDegradation
from iqasr.degradation.options import FinalSinc, FirstStage, SecondStage, SingleStage, Stage
from iqasr.degradation.pair_pool import PairPool
from iqasr.degradation.second_order import SecondOrderDegradation
