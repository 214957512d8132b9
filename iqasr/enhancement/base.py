"""What every enhancer has in common: a photograph in, a version of it of the same size out."""

from abc import ABC, abstractmethod

import numpy as np
import torch


class Enhancer(ABC):
    """Makes a candidate ground truth of a photograph; always the same one of the same photograph.

    A subclass takes its options as keywords and implements `enhance`.
    """

    version: str = '1'
    """What else the result depends on beside the options, such as weights."""

    @property
    def name(self) -> str:
        """What logs and contact sheets call it."""
        return type(self).__name__

    def to(self, device: torch.device) -> 'Enhancer':
        """Move it to a device, where it makes use of one."""
        return self

    @abstractmethod
    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Enhance a photograph.

        Args:
            photograph: ``(H, W, 3)`` uint8 RGB in [0, 255]; not to be modified.

        Returns:
            The same shape and type.
        """
