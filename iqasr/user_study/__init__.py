"""Which method do people prefer?  A page of pairs for raters, and the analysis of their votes."""

from iqasr.user_study.analysis import Analysis, analyse
from iqasr.user_study.making import Design, make_study
from iqasr.user_study.manifest import Manifest, read_manifest
from iqasr.user_study.summary import analyse_study
from iqasr.user_study.votes import (
    LEAST_CAUGHT,
    Ballot,
    Comparison,
    comparisons,
    read_ballots,
    reliability,
)
