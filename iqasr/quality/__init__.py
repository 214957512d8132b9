"""Quality: scorers map an image to its quality, higher is better."""

from iqasr.quality.base import QualityScorer
from iqasr.quality.dists import DISTSScorer
from iqasr.quality.ensemble import EnsembleScorer
from iqasr.quality.lpips import LPIPSScorer, STLPIPSScorer
from iqasr.quality.names import find_traits, scorer_section
from iqasr.quality.nima import NIMAScorer
from iqasr.quality.niqe_scorer import NIQEScorer
from iqasr.quality.normalisation import normalise_quality
from iqasr.quality.pyiqa_scorer import PyIQAScorer
from iqasr.quality.ranker import RankerScorer
from iqasr.quality.self_test import SelfTest, run_self_test
from iqasr.runtime.errors import MissingWeightsError
