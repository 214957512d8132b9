"""What a network is like, and what a training step of it costs."""

import math
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from iqasr.archs.bicubic import Bicubic
from iqasr.degradation import BicubicDegradation, from_uint8
from iqasr.models.restorer import restore_whole
from iqasr.quality import QualityScorer


@torch.no_grad()
def lr_gain(network: nn.Module, scale: int, images: Sequence[np.ndarray]) -> float:
    """How much better than bicubic enlargement a network gives its input back.

    Outputs are reduced bicubically and compared with the input, a bicubic reduction. Networks that
    were trained on such reductions gain 5 to 20 dB (DAT-light, SPAN, the packaged one); those of
    Real-ESRGAN, which were trained to repair their input, lose.

    Args:
        network: The network, on the CPU.
        scale: How many times it enlarges.
        images: ``(H, W, 3)`` uint8 RGB, sides multiples of `scale`.

    Returns:
        Median gain in dB, without the outermost pixels.
    """
    reduce, bicubic, gains = BicubicDegradation(scale=scale), Bicubic(scale), []
    for image in images:
        pixels = from_uint8(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
        lq = reduce(pixels, torch.Generator())
        outputs = restore_whole(network, lq, scale), bicubic(lq)
        backs = [reduce(output.clamp(0, 1), torch.Generator()) for output in outputs]
        errors = [(back - lq)[..., 1:-1, 1:-1].square().mean().item() for back in backs]
        own, other = (max(error, 1e-10) for error in errors)
        gains.append(10 * math.log10(other / own))
    return median(gains)


def time_step(
    network: nn.Module,
    lq_px: int,
    batch: int,
    scorers: Sequence[QualityScorer],
    device: torch.device,
) -> float:
    """Time a training step: the network and its scorers, forwards and backwards.

    Args:
        network: The network; comes back without gradients.
        lq_px: Side of its input.
        batch: Images of a step.
        scorers: Scorers of the output, with or without a reference.
        device: Where to train.

    Returns:
        Seconds.
    """
    network = network.to(device).requires_grad_(True)
    scorers = [scorer.to(device) for scorer in scorers]
    lq = torch.rand(batch, 3, lq_px, lq_px, device=device)
    seconds = 0.0
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        output = network(lq)
        loss = output.mean() + sum(score(scorer, output) for scorer in scorers)
        loss.backward()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    network.zero_grad()
    network.requires_grad_(False).cpu()
    return seconds


def score(scorer: QualityScorer, output: Tensor) -> Tensor:
    """Score outputs, with a reference where one is needed."""
    reference = output.detach().clamp(0, 1) if scorer.needs_reference else None
    return scorer(output, reference).mean()


@torch.no_grad()
def time_score(scorer: QualityScorer, side_px: int, device: torch.device) -> float:
    """Time the scoring of a crop, in seconds."""
    crops = torch.rand(4, 3, side_px, side_px, device=device)
    start = time.perf_counter()
    scorer.to(device)(crops).tolist()
    return (time.perf_counter() - start) / len(crops)


def time_each(recipes: Mapping[str, Any], image: np.ndarray) -> float:
    """Time all recipes on an image, in seconds."""
    start = time.perf_counter()
    for recipe in recipes.values():
        recipe(image)
    return time.perf_counter() - start
