"""Candidate ground truths of your own photographs: enhancers, and what they are applied to."""

from iqasr.enhancement.base import Enhancer
from iqasr.enhancement.network_enhancer import NetworkEnhancer
from iqasr.enhancement.operators import BilateralFilter, LocalContrast, NonLocalMeans, UnsharpMask
