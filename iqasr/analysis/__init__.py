"""Agreement of scorers with people, and which scorers are right where others are wrong."""

from iqasr.analysis.agreement import Comparisons
from iqasr.analysis.analysis import PanelAnalysis, analyse_panel
from iqasr.analysis.bootstrap import Estimate, SourceBootstrap
from iqasr.analysis.combination import Combination
from iqasr.analysis.ladder_pairs import make_ladder_pairs
from iqasr.analysis.pairs import (
    ImagePair,
    PairSet,
    PairVote,
    pairs_from_csv,
    pairs_from_labels,
    pairs_from_votes,
    read_pairs,
    write_pairs,
)
from iqasr.analysis.panel import PanelScorer, score_by_panel
from iqasr.analysis.report import report_text, write_analysis
from iqasr.analysis.run import analyse_metrics
