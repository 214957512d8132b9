"""Base class of enhancers: from a photograph to a version of it of the same size."""

from abc import ABC, abstractmethod

import numpy as np
import torch


class Enhancer(ABC):
    """Makes a candidate ground truth of a photograph, deterministically.

    A subclass takes its options as keyword arguments and implements `enhance`.
    """

    version: str = '1'
    """Changes with everything but the options on which the result depends, such as weights."""

    @property
    def name(self) -> str:
        """Name in logs and on contact sheets."""
        return type(self).__name__

    def to(self, device: torch.device) -> 'Enhancer':
        """Move to a device, if the enhancer uses one."""
        return self

    @abstractmethod
    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Enhance a photograph.

        Args:
            photograph: ``(H, W, 3)`` uint8 RGB in [0, 255]; not to be modified.

        Returns:
            The same shape and type.
        """
