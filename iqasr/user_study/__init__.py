"""User studies of methods: a page of pairs for raters, and the analysis of their votes."""

from iqasr.user_study.analysis import StudyAnalysis, analyse_votes
from iqasr.user_study.design import Design, make_study
from iqasr.user_study.manifest import Manifest, read_manifest
from iqasr.user_study.summary import analyse_study
from iqasr.user_study.votes import (
    LEAST_CAUGHT,
    Ballot,
    find_data_sets,
    pair_votes,
    pairs_from_study,
    read_ballots,
)
