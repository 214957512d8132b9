"""Training and examination of rankers: small scorers that learn from ordered distortions."""

from iqasr.ranking.attack import attack
from iqasr.ranking.distortions import DISTORTIONS, make_ladder
from iqasr.ranking.examination import examination_table, examine_scorer, examine_scorers
from iqasr.ranking.restorations import Restoration, Tuning
from iqasr.ranking.sources import distortions_with, train_from_folder
from iqasr.ranking.training import RankerOptions, RankerTraining, train_ranker
