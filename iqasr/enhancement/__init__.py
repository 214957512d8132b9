"""Candidate ground truths of photographs: enhancers, and the photographs and patches they get."""

from iqasr.enhancement.base import Enhancer
from iqasr.enhancement.maxim import MaximEnhancer
from iqasr.enhancement.network_enhancer import NetworkEnhancer
from iqasr.enhancement.operators import BilateralFilter, LocalContrast, NonLocalMeans, UnsharpMask
