"""Stage 9: which scorers agree with people, and which are right where others are wrong?"""

from iqasr.analysis.agreement import Comparisons
from iqasr.analysis.analysis import Analysis, analyse
from iqasr.analysis.bootstrap import Estimate, SourceBootstrap
from iqasr.analysis.combination import Combination
from iqasr.analysis.ladder_pairs import make_ladder_pairs
from iqasr.analysis.pairs import (
    Pair,
    PairSet,
    pairs_from_csv,
    pairs_from_labels,
    pairs_from_votes,
    read_pairs,
    write_pairs,
)
from iqasr.analysis.panel import Judge, ask_panel, scorer_sections
from iqasr.analysis.report import markdown_report, write_analysis
from iqasr.analysis.run import analyse_from_options
