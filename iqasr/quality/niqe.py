"""NIQE of a luma image: how far its statistics are from those of pristine photographs.

Source:
    Mittal et al. (2013), Making a "completely blind" image quality analyzer, IEEE Signal
    Processing Letters. The steps, their single precision and the pristine model are those of
    ``basicsr.metrics.niqe``; what is tabulated or vectorised here gives the same numbers.
"""

import functools
from importlib import resources

import cv2
import numpy as np
import torch
from basicsr.utils.matlab_functions import calculate_weights_indices
from scipy.special import gamma

BLOCK_PX = 96
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are looked at: right, below, and both diagonals."""


def niqe(luma: np.ndarray) -> float:
    """Compute NIQE, lower is better.

    Args:
        luma: ``(H, W)`` float32 in [0, 255], rounded; what exceeds whole blocks is left out.

    Returns:
        The value; NaN where there is none: one block or none, or a constant image.
    """
    rows, columns = (side // BLOCK_PX for side in luma.shape)
    if rows * columns < 2:
        return float('nan')
    luma = luma[: rows * BLOCK_PX, : columns * BLOCK_PX]
    with np.errstate(all='ignore'):
        halved = halve(luma / 255) * 255
        scales = [block_features(luma, BLOCK_PX), block_features(halved, BLOCK_PX // 2)]
        found = np.concatenate(scales, axis=1)
        complete = found[~np.isnan(found).any(axis=1)]
        known = (~np.isnan(found)).sum(axis=0)
        offset = pristine_model()['mu_pris_param'][0] - np.nansum(found, axis=0) / known
        if len(complete) < 2 or not np.isfinite(offset).all():
            return float('nan')
        covariance = (pristine_model()['cov_pris_param'] + np.cov(complete, rowvar=False)) / 2
        if not np.isfinite(covariance).all():
            return float('nan')
        return float(np.sqrt(offset @ np.linalg.pinv(covariance) @ offset))


@functools.cache
def pristine_model() -> dict[str, np.ndarray]:
    """Read the model of pristine photographs, and the window, from BasicSR's package."""
    path = resources.files('basicsr.metrics') / 'niqe_pris_params.npz'
    with path.open('rb') as file, np.load(file) as arrays:
        return dict(arrays)


@functools.cache
def ratio_table() -> tuple[np.ndarray, np.ndarray]:
    """Tabulate the shape of a generalised Gaussian, and the moment ratio that rises with it."""
    shape = np.arange(0.2, 10.001, 0.001)
    inverse = np.reciprocal(shape)
    return shape, np.square(gamma(inverse * 2)) / (gamma(inverse) * gamma(inverse * 3))


def halve(image: np.ndarray) -> np.ndarray:
    """Reduce an image to half its size, bicubically.

    Equal to ``basicsr.utils.matlab_functions.imresize`` to the last bit, as one bit can move a
    tabulated shape by a step; hence the same product of matrix and vector for each row and column.

    Args:
        image: ``(H, W)`` float32, of even sides.

    Returns:
        ``(H / 2, W / 2)`` float32.
    """
    for axis in (0, 1):
        weights, starts, before, after = halving_weights(image.shape[axis])
        margins = [(before, after) if each == axis else (0, 0) for each in (0, 1)]
        padded = torch.from_numpy(np.pad(image, margins, 'symmetric'))
        halved = torch.empty(len(starts), image.shape[1 - axis])
        for line, start, taps in zip(halved, starts, weights, strict=True):
            seen = padded.narrow(axis, start, len(taps))
            torch.mv(seen if axis else seen.T, taps, out=line)
        image = (halved.T.contiguous() if axis else halved).numpy()
    return image


@functools.cache
def halving_weights(length: int) -> tuple[torch.Tensor, list[int], int, int]:
    """Compute how BasicSR halves a line of pixels.

    Returns:
        Weights, ``(length / 2, 8)``, where each row of them starts, and how many pixels are
        mirrored at either end.
    """
    weights, indices, before, after = calculate_weights_indices(
        length, length // 2, 0.5, 'cubic', 4, True
    )
    return weights, indices[:, 0].int().tolist(), before, after


def block_features(luma: np.ndarray, side: int) -> np.ndarray:
    """Fit the locally normalised luma of every block, and the products of its neighbours.

    Returns:
        ``(B, 18)`` for B blocks of `side` x `side` pixels, column by column.
    """
    window = pristine_model()['gaussian_window'][3]
    window = window / window.sum()

    def smooth(image: np.ndarray) -> np.ndarray:
        # Summed in double precision: flat areas keep a deviation of exactly zero.
        border = cv2.BORDER_REPLICATE
        return cv2.sepFilter2D(image, cv2.CV_64F, window, window, borderType=border).astype('f4')

    mean = smooth(luma)
    deviation = np.sqrt(np.abs(smooth(np.square(luma)) - np.square(mean)))
    normalised = (luma - mean) / (deviation + 1)
    rows, columns = (length // side for length in luma.shape)
    tiles = normalised.reshape(rows, side, columns, side).transpose(2, 0, 1, 3)
    blocks = np.ascontiguousarray(tiles).reshape(-1, side, side)
    shape, left, right = fit_gaussian(blocks)
    columns = [shape, (left + right) / 2]
    for shift in SHIFTS:
        shape, left, right = fit_gaussian(blocks * np.roll(blocks, shift, axis=(1, 2)))
        mean = (right - left) * (gamma(2 / shape) / gamma(1 / shape))
        columns += [shape, mean, left, right]
    return np.stack(columns, axis=1)


def fit_gaussian(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit an asymmetric generalised Gaussian to each block by its moments.

    Returns:
        Shape, left and right scale, ``(B,)`` each.
    """
    blocks = blocks.reshape(len(blocks), -1)
    squares = np.square(blocks)
    left, right = (
        np.sqrt([mean_of(s[m.nonzero()]) for s, m in zip(squares, side, strict=True)])
        for side in (blocks < 0, blocks > 0)
    )
    skew = left / right
    ratio = np.square(np.abs(blocks).mean(axis=1)) / squares.mean(axis=1)
    ratio = ratio * (skew**3 + 1) * (skew + 1) / np.square(np.square(skew) + 1)
    shapes, ratios = ratio_table()
    above = np.searchsorted(ratios, ratio).clip(1, len(ratios) - 1)
    nearest = above - (ratio - ratios[above - 1] <= ratios[above] - ratio)
    shape = shapes[np.where(np.isnan(ratio), 0, nearest)]
    spread = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * spread, right * spread


def mean_of(values: np.ndarray) -> np.floating:
    """Average without the checks of `np.mean`, which take longer than the sum; NaN if empty."""
    return np.add.reduce(values) / values.size
