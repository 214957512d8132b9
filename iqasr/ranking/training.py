"""Training of a ranker on ladders and adversarial attacks, optionally after votes or a teacher.

Source:
    Madry et al. (2018), Towards deep learning models resistant to adversarial attacks (training on
    attacked images); for the rest see `iqasr.ranking.order_losses`. A mild regression, written
    here, puts all ladders on one scale.
"""

import json
import logging
from collections import Counter
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
from iqasr.quality.base import QualityScorer, digest_of
from iqasr.quality.ranker import RankerNetwork, detail_statistics, read_ranker
from iqasr.ranking.attack import attack
from iqasr.ranking.distortions import Distortion
from iqasr.ranking.ladders import LadderSampler, draw_place
from iqasr.ranking.order_losses import LOGIT_RANGE, distillation_loss, ranking_loss
from iqasr.ranking.restorations import Restoration, Tuning
from iqasr.ranking.votes import VotedSource, fit_detail, measure
from iqasr.runtime.atomic_files import save_atomically, save_safetensors
from iqasr.runtime.randomness import generator_at
from iqasr.runtime.weights import load_file

logger = logging.getLogger('iqasr')

LARGEST_GRADIENT = 5.0
"""Norm to which gradients are clipped; larger ones occur in the first iterations."""

ATTACK_EVERY = 3
"""One in so many images is attacked; no divisor of the number of versions, so that all occur."""

TOP_CROPS = 256
"""Crops of photographs whose mean quality is the top of the scale."""

REPORT_EVERY, SAVE_EVERY = 100, 500
"""Iterations between two lines of the log, and between two states."""

VOTED_PER_BATCH = 4
"""Sources of votes in a batch."""

STATEFUL = ('network', 'optimizer', 'schedule')


@dataclass(frozen=True)
class RankerOptions:
    """Options of the training of a ranker."""

    iterations: int = 4000
    photographs_per_batch: int = 12
    rungs: int = 4
    """Distorted versions of each photograph."""
    crop_px: int = 64
    lr: float = 2e-3
    regression: float = 0.5
    """Weight of the regression to the common scale."""
    robustness: float = 5.0
    """Weight of the gain under attack, at the end of training."""
    epsilon: float = 2 / 255
    """Largest change of a pixel by the attack, in [0, 1]."""
    attack_steps: int = 5
    """Against one step the network only learns to mask its gradient."""
    order_iterations: int = 1500
    """Iterations before the first attack; from there the weight of robustness rises to the end.
    Under strong attacks from the start the order is not learnt."""
    distillation: float = 1.0
    """Weight of the order of the teacher, if there is one."""
    consistency: float = 1.5
    """Weight of equal damage of the images of one voted source: their detail differs, as votes
    tell, and the grain of a network that people like must not count as noise."""
    seed: int = 0


class RankerTraining:
    """Network, optimiser and training data.

    Args:
        photographs: Each ``(H, W, 3)`` uint8 RGB; those smaller than a crop are not used.
        distortions: Distortions by name.
        options: Options of the training.
        teacher: Scorer whose order is learnt as well.
        start: Weights of a ranker to start from; default random ones.
        restorations: Networks whose outputs are rungs of ladders, above further damage.
        tunings: Networks that were tuned on a ranker: going on as they did makes ladders, too.
        votes: Votes, to which the detail is fitted; without any, detail is not rewarded.

    Raises:
        MissingWeightsError: If `start` does not exist.
        ValueError: If all photographs are too small, crops are too small for the teacher or no
            multiple of a network's scale, or a ladder over an output has fewer than 3 rungs.
    """

    def __init__(
        self,
        photographs: Sequence[np.ndarray],
        distortions: Mapping[str, Distortion],
        options: RankerOptions,
        teacher: QualityScorer | None = None,
        start: Path | None = None,
        *,
        restorations: Sequence[Restoration] = (),
        tunings: Sequence[Tuning] = (),
        votes: Sequence[VotedSource] = (),
    ) -> None:
        side = options.crop_px
        self.ladders = LadderSampler(
            photographs,
            distortions,
            [*restorations, *tunings],
            rungs=options.rungs,
            crop_px=side,
        )
        if teacher is not None and side < teacher.min_size:
            raise ValueError(
                f'{teacher.name} needs {teacher.min_size} pixels a side, crops have {side}; '
                'make crop_px larger.'
            )
        small = [v.name for v in votes if min(v.images.shape[2:]) < side]
        if small:
            raise ValueError(
                f'votes: the images of {small[0]} have less than {side} pixels a side; leave them '
                'out, or make crop_px smaller.'
            )
        self.options, self.teacher, self.votes = options, teacher, list(votes)
        torch.manual_seed(options.seed)
        network = RankerNetwork() if start is None else read_ranker(start)
        self.start = digest_of(network.state_dict()) if start else None
        self.network = network.to(memory_format=torch.channels_last)
        self.fix_detail(given_damage=False)
        learnt = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(learnt, lr=options.lr)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, options.iterations, eta_min=options.lr / 100
        )

    @torch.no_grad()
    def fix_detail(self, *, given_damage: bool) -> None:
        """Fit the detail to the votes, if any, and set photographs to the top of the scale."""
        network, generator = self.network, generator_at(self.options.seed, 'detail')
        detail = network.detail.requires_grad_(False)
        if self.votes:
            table = measure(self.votes, network if given_damage else None)
            with torch.enable_grad():
                detail.weight.copy_(fit_detail(table)[None])
        crops = torch.stack([self.ladders.draw_crop(generator) for _ in range(TOP_CROPS)])
        statistics = detail_statistics(from_uint8(crops))
        detail.bias.copy_(LOGIT_RANGE / 2 - (statistics @ detail.weight[0]).mean())

    def step(self, iteration: int) -> dict[str, float]:
        """Train on one batch; its random draws are a function of the iteration.

        Returns:
            The parts of the loss, and ``right``, the share of pairs in the right order.
        """
        generator = generator_at(self.options.seed, 'ranker', iteration)
        count = self.options.photographs_per_batch
        images, severity, scaled, kinds = self.ladders.draw(count, generator)
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        logits = self.network(flat)
        order, right = ranking_loss(logits.view(severity.shape), severity)
        self.ladders.update_error_rates(kinds, right)
        target = LOGIT_RANGE * (0.5 - severity)
        regression = F.smooth_l1_loss(logits.view(severity.shape)[scaled], target[scaled])
        parts = {
            'order': order,
            'regression': self.options.regression * regression if scaled.any() else 0 * order,
        }
        if (weight := self.robustness_at(iteration)) > 0:
            parts['robustness'] = weight * self.attack_gain(flat, logits, generator)
        if self.teacher is not None:
            with torch.no_grad():
                taught = self.teacher(flat)
            parts['distillation'] = self.options.distillation * distillation_loss(logits, taught)
        if self.votes:
            parts['consistency'] = self.options.consistency * self.damage_spread(generator)
        self.optimizer.zero_grad(set_to_none=True)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.schedule.step()
        return {name: part.item() for name, part in parts.items()} | {'right': right.mean().item()}

    def robustness_at(self, iteration: int) -> float:
        """Weight of the gain under attack: 0 while the order is learnt, then rising linearly."""
        first, last = self.options.order_iterations, self.options.iterations
        return self.options.robustness * max(0, iteration - first) / max(1, last - first)

    def damage_spread(self, generator: torch.Generator) -> Tensor:
        """Mean deviation of damage between images of one source, at one place of them."""
        side, spreads = self.options.crop_px, []
        for number in torch.randperm(len(self.votes), generator=generator)[:VOTED_PER_BATCH]:
            images = self.votes[int(number)].images
            top, left = draw_place(images.shape[2:], side, generator)
            crops = from_uint8(images[..., top : top + side, left : left + side])
            damage = self.network.damage(crops)
            spreads.append((damage - damage.mean()).abs().mean())
        return torch.stack(spreads).mean()

    def attack_gain(self, images: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Mean gain of logits by an attack on one in `ATTACK_EVERY` images."""
        images = images[::ATTACK_EVERY]
        epsilon, steps = self.options.epsilon, self.options.attack_steps
        start = epsilon * (2 * torch.rand(images.shape, generator=generator) - 1)
        attacked = attack(self.network, images, epsilon=epsilon, steps=steps, start=start)
        # The clean logits keep their gradient: with a fixed target, ever lower scores would do.
        return F.relu(self.network(attacked) - logits[::ATTACK_EVERY]).mean()

    def describe_inputs(self) -> dict[str, Any]:
        """Describe what the result depends on: the options, and a hash of all else, by name."""
        photographs = {
            str(number): torch.from_numpy(np.ascontiguousarray(photograph))
            for number, photograph in enumerate(self.ladders.photographs)
        }
        return {
            **asdict(self.options),
            'start': self.start,
            'teacher': f'{self.teacher.name} {self.teacher.version}' if self.teacher else None,
            'photographs': digest_of(photographs),
            'votes': [source.digest for source in self.votes],
            **{
                f'network {number} ({network.name})': network.digest
                for number, network in enumerate(self.ladders.networks, 1)
            },
        }

    def state_dict(self) -> dict[str, Any]:
        """State for an exact resume, apart from the iteration."""
        state = {name: getattr(self, name).state_dict() for name in STATEFUL}
        return state | {'error_rates': dict(self.ladders.error_rates)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`."""
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.ladders.error_rates = dict(state['error_rates'])


def train_ranker(training: RankerTraining, target: Path) -> Path:
    """Train to the end. The training may be killed at any time and started again.

    Args:
        training: The training; resumed from ``<target>.state`` if that exists.
        target: ``.safetensors`` file to write.

    Returns:
        `target`.

    Raises:
        CheckpointError: If a file cannot be read or written.
        ValueError: If the state is that of other options, photographs, networks or votes.
    """
    options, state_file = training.options, target.with_name(f'{target.name}.state')
    inputs, done, sums = training.describe_inputs(), 0, Counter[str]()
    if state_file.is_file():
        state = load_file(state_file)
        before = state.get('inputs', {})
        names = [name for name in {**before, **inputs} if before.get(name) != inputs.get(name)]
        if names:
            raise ValueError(
                f'{state_file}: belongs to a training that differs in {", ".join(names)}. Train '
                'with the same, or remove the file to start again.'
            )
        training.load_state_dict(state)
        done = state['iteration']
        logger.info('%s: resumed from iteration %d.', target.name, done)
    target.parent.mkdir(parents=True, exist_ok=True)
    for iteration in tqdm(
        range(done + 1, options.iterations + 1), 'ranker', options.iterations, initial=done
    ):
        sums.update(training.step(iteration))
        if iteration % REPORT_EVERY == 0:
            numbers = ', '.join(f'{k} {v / REPORT_EVERY:.3f}' for k, v in sums.items())
            logger.info('iteration %d/%d: %s', iteration, options.iterations, numbers)
            sums.clear()
        if iteration % SAVE_EVERY == 0:
            progress = {'inputs': inputs, 'iteration': iteration}
            save_atomically(progress | training.state_dict(), state_file)
    training.fix_detail(given_damage=True)
    network = training.network
    about = {'channels': network.channels, 'options': asdict(options)}
    save_safetensors(network.state_dict(), target, {'iqasr_ranker': json.dumps(about)})
    state_file.unlink(missing_ok=True)
    return target
