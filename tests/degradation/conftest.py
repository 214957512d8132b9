import pytest
import torch

import iqasr  # noqa: F401  (lets the tests import basicsr with any torchvision)


@pytest.fixture
def photograph():
    """Two smooth images with edges, (2, 3, 64, 96), multiples of 1/255 in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing='ij')
    waves = torch.stack([torch.sin(x / 9 + y / 17), torch.cos(x / 13), torch.sin(y / 7 - x / 21)])
    image = 0.5 + 0.3 * waves
    image[:, 20:40, 30:60] += 0.2
    image = torch.stack([image, image.flip(-1).roll(1, 0)])
    return (image * 255).round() / 255
