"""Sampling: which candidate ground truth a crop is trained on."""

from iqasr.sampling.argmax import ArgmaxSampler
from iqasr.sampling.base import GTSampler, perplexity
from iqasr.sampling.softmax import SoftmaxSampler
from iqasr.sampling.uniform import UniformSampler
