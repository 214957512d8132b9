"""The objective, a weighted sum of terms."""

from iqasr.losses.adversary import Adversary, Judgement, KnownGradient, RelativisticGANLoss
from iqasr.losses.anchors import BaseDistanceLoss, LRConsistencyLoss
from iqasr.losses.checkerboard_loss import CheckerboardLoss
from iqasr.losses.fft_loss import FFTLoss
from iqasr.losses.ldl_loss import LDLLoss
from iqasr.losses.negative_loss import NegativeLoss, negative_map, negative_of
from iqasr.losses.objective import Objective
from iqasr.losses.quality_loss import QualityLoss
from iqasr.losses.term import Batch, Negative, Term, build_term, term_inputs
from iqasr.losses.views import Views
