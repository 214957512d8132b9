import cv2
import numpy as np
import pytest

from iqasr.analysis.pairs import ImagePair, write_pairs
from iqasr.quality import QualityScorer
from iqasr.registry import SCORER_REGISTRY


class Brightness(QualityScorer):
    """The mean of the red channel, with a gradient; counts what it scores, may stop early."""

    name, version, score_range, differentiable = 'brightness', '1', (0.0, 1.0), True
    scored, stop_after = 0, 10**6

    def _score(self, image, reference=None):
        Brightness.scored += len(image)
        if Brightness.scored > Brightness.stop_after:
            raise KeyboardInterrupt
        return image[:, 0].mean((1, 2))


class Flatness(QualityScorer):
    """Lower is better: the spread of the green channel."""

    name, version, lower_better = 'flatness', '1', True

    def _score(self, image, reference=None):
        return image[:, 1].std((1, 2))


@pytest.fixture
def scorers():
    """Two scorers that can be named; returns the one that counts."""
    Brightness.scored, Brightness.stop_after = 0, 10**6
    for cls in (Brightness, Flatness):
        SCORER_REGISTRY.register(cls)
    yield Brightness
    for cls in (Brightness, Flatness):
        del SCORER_REGISTRY._obj_map[cls.__name__]


@pytest.fixture
def pairs_csv(tmp_path):
    """Three images of each of twelve sources; the brightest is best, the flattest mostly."""
    draw, pairs = np.random.default_rng(0), []
    for number in range(12):
        files = [tmp_path / 'images' / f'{number}_{step}.png' for step in range(3)]
        files[0].parent.mkdir(exist_ok=True)
        for step, file in enumerate(files):
            image = np.zeros((8, 8, 3), np.uint8)
            image[..., 2] = 20 * number + 5 * step
            image[..., 1] = draw.normal(100, 20 - 5 * step + 8 * draw.uniform(), (8, 8))
            cv2.imwrite(str(file), image)
        pairs += [
            ImagePair(str(files[0]), str(files[1]), draw.uniform(0.6, 1), f's{number}'),
            ImagePair(str(files[2]), str(files[1]), draw.uniform(0, 0.4), f's{number}'),
        ]
    write_pairs(tmp_path / 'pairs.csv', pairs)
    return tmp_path / 'pairs.csv'
