"""Small sets of candidates, made on disk."""

import os

import cv2
import numpy as np
import pytest

from iqasr.data.candidates.hggt import ANNOTATORS, write_votes
from iqasr.sampling.labels import Label


def picture(seed, height=48, width=40):
    """A smooth picture, (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.0)


@pytest.fixture
def make_picture():
    return picture


@pytest.fixture
def make_set(tmp_path):
    """Write a set of candidates; returns its root."""

    def make(
        names=('a', 'b', 'c'),
        variants=('01', '02'),
        images='',
        labels=None,
        root='set',
        size=(48, 40),
        suffix='_{variant}.png',
    ):
        root = str(tmp_path / root)
        for number, name in enumerate(names):
            for k, variant in enumerate(('original', *variants)):
                folder = os.path.join(root, images, variant)
                os.makedirs(folder, exist_ok=True)
                ending = '.png' if k == 0 else suffix.format(variant=variant)
                pixels = picture(100 * number + k, *size)
                assert cv2.imwrite(os.path.join(folder, name + ending), pixels)
            for who in ANNOTATORS if labels else ():
                folder = os.path.join(root, images.replace('images', 'labels') or 'labels', who)
                os.makedirs(folder, exist_ok=True)
                votes = dict(zip(variants, labels[number % len(labels)], strict=True))
                write_votes(os.path.join(folder, f'{name}.json'), name, votes)
        return root

    return make


@pytest.fixture
def positive_then_negative():
    """Labels of three groups of two candidates."""
    return [
        (Label.POSITIVE, Label.NEGATIVE),
        (Label.SIMILAR, Label.POSITIVE),
        (Label.NEGATIVE, Label.SIMILAR),
    ]


@pytest.fixture
def labelled(make_set, positive_then_negative):
    """A set of which people judged the candidates."""
    return make_set(labels=positive_then_negative)
