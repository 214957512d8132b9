"""Training and examination of rankers: small scorers that learn from ordered damage."""

from iqasr.ranking.attack import attack
from iqasr.ranking.examination import examination_table, examine, examine_ranker
from iqasr.ranking.ladders import KINDS, Restored, climb_down
from iqasr.ranking.sources import kinds_with, train_from_folder
from iqasr.ranking.training import RankerOptions, RankerTraining, train_ranker
