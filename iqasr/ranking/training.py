"""Train a ranker on ladders, against its own attacker, and optionally after a teacher.

Source:
    Liu et al. (2017), RankIQA: Learning from rankings for no-reference image quality assessment,
    eq. 3 (margin loss over pairs). Madry et al. (2018), Towards deep learning models resistant to
    adversarial attacks (training on attacked images). Zhang et al. (2019), RankSRGAN, section 3.2
    (a ranker that takes over the order of another, possibly non-differentiable, scorer).
    Deviations: the margin grows with the difference in severity, and a mild regression puts all
    ladders on one scale.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from iqasr.degradation import from_uint8
from iqasr.degradation.draws import choose, happens, uniform
from iqasr.quality.base import QualityScorer
from iqasr.quality.ranker import RankerNetwork, read_ranker
from iqasr.ranking.attack import attack
from iqasr.ranking.ladders import Damage, climb_down, compressed, noisy
from iqasr.runtime.atomic_files import save_atomically, save_safetensors
from iqasr.runtime.randomness import generator_at
from iqasr.runtime.weights import load_file

logger = logging.getLogger('iqasr')

RANGE = 8.0
"""Logits between a photograph and its worst version."""

LARGEST_GRADIENT = 5.0
"""Norm the gradient is cut to; larger ones are those of the first iterations."""

MOMENTUM, LEAST_WRONG = 0.05, 0.02
"""Of the running share of wrong pairs; and what keeps a kind that is learnt in the mix."""

ATTACK_EVERY = 3
"""Of all images; no divisor of the number of versions, so that each has its turn."""

REPORT_EVERY, SAVE_EVERY = 100, 500


@dataclass(frozen=True)
class RankerOptions:
    """How a ranker is trained."""

    iterations: int = 4000
    photographs_per_batch: int = 12
    rungs: int = 4
    """Versions of each, beside the photograph itself."""
    crop_px: int = 64
    lr: float = 2e-3
    regression: float = 0.5
    """Weight of the common scale, beside the order."""
    robustness: float = 5.0
    """Weight of the rise under attack, at the end."""
    epsilon: float = 2 / 255
    """Largest change of a pixel by the attack."""
    attack_steps: int = 5
    """With one step the network learns to hide its gradient, and is as weak as before."""
    order_iterations: int = 1500
    """Iterations before the first attack; the weight of robustness rises from there to the end.
    Under strong attacks from the start, order is not learnt at all."""
    distillation: float = 1.0
    """Weight of the teacher's order, if there is a teacher."""
    seed: int = 0


class RankerTraining:
    """Network, optimiser, and what they learn from.

    Args:
        photographs: Each ``(H, W, 3)`` uint8 RGB, at least of the size of a crop.
        kinds: Damages by name.
        options: How to train.
        teacher: Scorer whose order is learnt beside that of the ladders.
        start: Weights of a ranker to start from; None for random ones.

    Raises:
        MissingWeightsError: If `start` does not exist.
        ValueError: If there is nothing to cut crops from, or they are too small for the teacher.
    """

    def __init__(
        self,
        photographs: Sequence[np.ndarray],
        kinds: Mapping[str, Damage],
        options: RankerOptions,
        teacher: QualityScorer | None = None,
        start: Path | None = None,
    ) -> None:
        side = options.crop_px
        self.photographs = [p for p in photographs if min(p.shape[:2]) >= side]
        if not self.photographs:
            raise ValueError(f'No photograph has {side} pixels a side; give larger ones.')
        if teacher is not None and side < teacher.min_size:
            raise ValueError(
                f'{teacher.name} needs {teacher.min_size} pixels a side, crops have {side}; '
                'make crop_px larger.'
            )
        self.kinds, self.options, self.teacher = dict(kinds), options, teacher
        torch.manual_seed(options.seed)
        network = RankerNetwork() if start is None else read_ranker(start)
        self.network = network.to(memory_format=torch.channels_last)
        self.wrong = dict.fromkeys(kinds, 0.5)
        """Share of pairs in the wrong order by kind, a running mean; the worst come most often."""
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=options.lr)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, options.iterations, eta_min=options.lr / 100
        )

    def step(self, iteration: int) -> dict[str, float]:
        """Learn from one batch; what is random is a function of the iteration.

        Returns:
            Every part of the loss, and the share of pairs in the right order.
        """
        generator = generator_at(self.options.seed, 'ranker', iteration)
        images, severity, scaled, kinds = self.ladders(generator)
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        logits = self.network(flat)
        order, right = order_loss(logits.view(severity.shape), severity)
        for kind, share in zip(kinds, right.tolist(), strict=True):
            self.wrong[kind] += MOMENTUM * (1 - share - self.wrong[kind])
        target = RANGE * (0.5 - severity)
        regression = F.smooth_l1_loss(logits.view(severity.shape)[scaled], target[scaled])
        parts = {
            'order': order,
            'regression': self.options.regression * regression if scaled.any() else 0 * order,
        }
        if (weight := self.robustness_at(iteration)) > 0:
            parts['robustness'] = weight * self.rise(flat, logits, generator)
        if self.teacher is not None:
            with torch.no_grad():
                taught = self.teacher(flat)
            parts['distillation'] = self.options.distillation * taught_loss(logits, taught)
        self.optimizer.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.schedule.step()
        return {name: part.item() for name, part in parts.items()} | {'right': right.mean().item()}

    def robustness_at(self, iteration: int) -> float:
        """Weigh the rise under attack: nothing while order is learnt, then ever more."""
        first, last = self.options.order_iterations, self.options.iterations
        return self.options.robustness * max(0, iteration - first) / max(1, last - first)

    def ladders(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        """Draw a batch of ladders.

        Returns:
            Images :math:`(B, L, 3, S, S)`, severities :math:`(B, L)`, :math:`(B,)` bool: whether
            the ladder had no other damage beside its own, so that its scale is known; and kinds.
        """
        options = self.options
        weights = {kind: LEAST_WRONG + wrong for kind, wrong in self.wrong.items()}
        kinds = choose(weights, options.photographs_per_batch, generator)
        images, severities, scaled = [], [], []
        for kind in kinds:
            crop = from_uint8(self.crop(generator))[None]
            steps = torch.arange(options.rungs) + torch.rand(options.rungs, generator=generator)
            severity = [0.0, *(steps / options.rungs).tolist()]
            ladder = climb_down(crop, self.kinds[kind], severity, generator)[0]
            spoilt = happens(0.3, generator)
            if spoilt:
                other = (compressed, noisy)[happens(0.5, generator)]
                ladder = other(ladder, uniform(0.1, 0.3, 1, generator).item(), generator)
            images.append(ladder)
            severities.append(severity)
            scaled.append(not spoilt)
        return torch.stack(images), torch.tensor(severities), torch.tensor(scaled), kinds

    def crop(self, generator: torch.Generator) -> Tensor:
        """Cut a piece with some detail out of a photograph, turned at random; uint8."""
        side = self.options.crop_px
        for _ in range(10):
            number = int(torch.randint(len(self.photographs), (), generator=generator))
            photograph = self.photographs[number]
            top, left = (
                int(torch.randint(length - side + 1, (), generator=generator))
                for length in photograph.shape[:2]
            )
            piece = photograph[top : top + side, left : left + side]
            if np.diff(piece.astype(np.int16), axis=0).std() > 4:
                break
        crop = torch.from_numpy(np.ascontiguousarray(piece.transpose(2, 0, 1)))
        quarter, mirrored = int(torch.randint(4, (), generator=generator)), happens(0.5, generator)
        crop = crop.rot90(quarter, (1, 2))
        return crop.flip(2) if mirrored else crop

    def rise(self, images: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Attack every third image; the mean rise of its logits is what is to vanish."""
        images = images[::ATTACK_EVERY]
        epsilon, steps = self.options.epsilon, self.options.attack_steps
        start = epsilon * (2 * torch.rand(images.shape, generator=generator) - 1)
        attacked = attack(self.network, images, epsilon=epsilon, steps=steps, start=start)
        # Not against a fixed value, or falling ever further would be the way to please.
        return F.relu(self.network(attacked) - logits[::ATTACK_EVERY]).mean()

    def state_dict(self) -> dict[str, Any]:
        """What an exact continuation needs beside the number of iterations done."""
        return {
            'network': self.network.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'schedule': self.schedule.state_dict(),
            'wrong': dict(self.wrong),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        for name in ('network', 'optimizer', 'schedule'):
            getattr(self, name).load_state_dict(state[name])
        self.wrong = dict(state['wrong'])


def order_loss(logits: Tensor, severity: Tensor) -> tuple[Tensor, Tensor]:
    """Ask of every pair in a ladder a margin that grows with the difference in severity.

    Args:
        logits: :math:`(B, L)`.
        severity: :math:`(B, L)`, ascending in each row.

    Returns:
        Mean hinge loss, and each ladder's share of pairs in the right order, :math:`(B,)`.
    """
    better, worse = torch.triu_indices(severity.shape[1], severity.shape[1], 1)
    lead = logits[:, better] - logits[:, worse]
    margin = RANGE * (severity[:, worse] - severity[:, better])
    return F.relu(margin - lead).mean(), (lead > 0).float().mean(1)


def taught_loss(logits: Tensor, taught: Tensor) -> Tensor:
    """Ask of every pair of images the order of a teacher, its scores put on our scale.

    Args:
        logits: :math:`(M,)`.
        taught: Quality by the teacher, :math:`(M,)`; pairs with NaN are left out.
    """
    known = taught.isfinite()
    logits, taught = logits[known], taught[known]
    gap = (taught[:, None] - taught[None]) / taught.std().clamp(min=1e-6)
    lead = (logits[:, None] - logits[None]) * gap.sign()
    return F.relu(gap.abs() - lead).mean()


def train_ranker(training: RankerTraining, target: Path) -> Path:
    """Train to the end; may be killed at any time and started again.

    Args:
        training: What to train; its state is continued from ``<target>.state``, if that is there.
        target: ``.safetensors`` to write.

    Returns:
        `target`.

    Raises:
        CheckpointError: If a file cannot be read or written.
        ValueError: If the state there is of other options.
    """
    options, state_file = training.options, target.with_name(f'{target.name}.state')
    done = 0
    if state_file.is_file():
        state = load_file(state_file)
        if state['options'] != asdict(options):
            raise ValueError(f'{state_file}: belongs to other options. Remove it to start anew.')
        training.load_state_dict(state)
        done = state['iteration']
        logger.info('%s: continued from iteration %d.', target.name, done)
    target.parent.mkdir(parents=True, exist_ok=True)
    sums: dict[str, float] = {}
    for iteration in tqdm(
        range(done + 1, options.iterations + 1), 'ranker', options.iterations, initial=done
    ):
        for name, value in training.step(iteration).items():
            sums[name] = sums.get(name, 0) + value
        if iteration % REPORT_EVERY == 0:
            numbers = ', '.join(f'{k} {v / REPORT_EVERY:.3f}' for k, v in sums.items())
            logger.info('iteration %d/%d: %s', iteration, options.iterations, numbers)
            sums = {}
        if iteration % SAVE_EVERY == 0:
            progress = {'options': asdict(options), 'iteration': iteration}
            save_atomically(progress | training.state_dict(), state_file)
    network = training.network
    about = {'channels': network.channels, 'options': asdict(options)}
    save_safetensors(network.state_dict(), target, {'iqasr_ranker': json.dumps(about)})
    state_file.unlink(missing_ok=True)
    return target
