"""Stage 6: the objective, a weighted sum of terms."""

from iqasr.losses.adversary import AdversarialTerm, RelativisticGANLoss, discriminator_loss
from iqasr.losses.anchors import BaseDistanceLoss, LRConsistencyLoss
from iqasr.losses.ldl_loss import LDLLoss
from iqasr.losses.negative_loss import NegativeLoss, negative_map
from iqasr.losses.objective import Batch, Objective, ReferenceTerm, Term, build_term
from iqasr.losses.quality_loss import QualityLoss
from iqasr.losses.views import Views
