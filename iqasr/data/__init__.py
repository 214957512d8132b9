"""Data: an image and its candidate ground truths, from folders, LMDB or raw store."""

from iqasr.data.build import build_dataset
from iqasr.data.evaluation_dataset import EvaluationDataset
from iqasr.data.multi_gt_dataset import MultiGTDataset
