"""The only model class: one training step, whatever backbone, sampling and objective."""

import copy
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from iqasr.checkpoint import load_network
from iqasr.degradation import Degradation, PairPool
from iqasr.distributed import Process
from iqasr.losses import AdversarialTerm, Batch, Objective, build_term, discriminator_loss
from iqasr.option_check import find_optimizer, find_scheduler
from iqasr.options import Options
from iqasr.randomness import generator_at, seed_of
from iqasr.registry import (
    ARCH_REGISTRY,
    DEGRADATION_REGISTRY,
    LOSS_REGISTRY,
    MODEL_REGISTRY,
    build,
)
from iqasr.sampling.choice import GTChoice

logger = logging.getLogger('iqasr')


@MODEL_REGISTRY.register()
class RestorationModel:
    """Networks, objective and optimisers of one run.

    Args:
        options: The checked option file.
        process: This process and its device.
        seed: Seed of the run.
        choice: Chooses the ground truth of multi-GT samples; None for paired data.
    """

    def __init__(
        self,
        options: Options,
        process: Process,
        seed: int,
        choice: GTChoice | None = None,
    ) -> None:
        self.options = options
        self.process = process
        self.device = process.device
        self.seed = seed
        self.choice = choice
        # Initial weights are the only draws from torch's global generator that are not reseeded.
        torch.manual_seed(seed)
        self.net_g = self.build_network('g', options.network_g)
        self.net_g_ema: nn.Module | None = None
        self.net_d: nn.Module | None = None
        if options.train is not None:
            self.set_up_training()

    def build_network(self, which: str, section: Mapping[str, Any]) -> nn.Module:
        """Build a network, load its pretrained weights, move it to the device."""
        network = build(ARCH_REGISTRY, section)
        paths = self.options.path
        pretrained = getattr(paths, f'pretrain_network_{which}')
        if pretrained is not None:
            load_network(
                network,
                pretrained,
                key=getattr(paths, f'param_key_{which}'),
                strict=getattr(paths, f'strict_load_{which}'),
            )
            logger.info('network_%s: weights of %s.', which, pretrained)
        if which == 'g':
            self.check_scale(network)
        count = sum(parameter.numel() for parameter in network.parameters())
        logger.info('network_%s: %s, %s parameters.', which, section['type'], f'{count:,}')
        return network.to(self.device)

    @torch.no_grad()
    def check_scale(self, network: nn.Module) -> None:
        """Restore a small image to see that the network enlarges as much as the data asks.

        Raises:
            ValueError: If it does not.
        """
        scale = self.options.scale
        size = max(16, self.options.network_g.get('window_size', 1))
        found = network.eval()(torch.zeros(1, 3, size, size)).shape[-1] / size
        network.train()
        if found != scale:
            raise ValueError(f'network_g enlarges {found:g} times, but scale is {scale}.')

    def set_up_training(self) -> None:
        """Build what only training needs."""
        options, train = self.options, self.options.train
        if train.ema_decay > 0:
            self.net_g_ema = copy.deepcopy(self.net_g).eval().requires_grad_(False)
        terms = {name: build_term(o) for name, o in train.terms.items() if name != 'gan'}
        if 'gan' in train.terms:
            self.gan_loss = build(LOSS_REGISTRY, train.terms['gan']).to(self.device)
            self.net_d = self.build_network('d', options.network_d)
            terms['gan'] = AdversarialTerm(self.net_d, self.gan_loss)
        self.objective = Objective(terms).to(self.device)
        self.degradation: Degradation | None = None
        self.pool: PairPool | None = None
        if options.degradation is not None:
            self.degradation = build(DEGRADATION_REGISTRY, options.degradation, scale=options.scale)
            self.pool = PairPool(options.queue_size) if options.queue_size else None
        self.optimizers = {'g': self.build_optimizer(self.net_g, train.optim_g)}
        if self.net_d is not None:
            self.optimizers['d'] = self.build_optimizer(self.net_d, train.optim_d)
        self.schedulers = {}
        if train.scheduler is not None:
            arguments = {key: v for key, v in train.scheduler.items() if key != 'type'}
            scheduler = find_scheduler(train.scheduler['type'])
            self.schedulers = {k: scheduler(o, **arguments) for k, o in self.optimizers.items()}
        self.train_g = self.wrap(self.net_g)
        self.train_d = self.wrap(self.net_d) if self.net_d is not None else None
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)

    def build_optimizer(
        self, network: nn.Module, section: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """Build an optimiser over the weights that train."""
        arguments = {key: value for key, value in section.items() if key != 'type'}
        parameters = [p for p in network.parameters() if p.requires_grad]
        return find_optimizer(section['type'])(parameters, **arguments)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Average the gradients over the processes, if there are several."""
        if self.process.world_size == 1:
            return network
        return DistributedDataParallel(
            network,
            device_ids=[self.device.index] if self.device.type == 'cuda' else None,
            find_unused_parameters=self.options.find_unused_parameters,
        )

    # One iteration

    def feed_data(self, data: Mapping[str, Any], place: int) -> tuple[Tensor, Tensor, dict]:
        """Turn a batch of the loader into low-quality inputs and ground truths.

        Args:
            data: A batch of paired data (``lq``, ``gt``) or of `MultiGTDataset`.
            place: Position of the batch in the training stream.

        Returns:
            ``lq`` and ``gt``, :math:`(N, 3, H, W)` RGB in [0, 1], and values to log.
        """
        if self.degradation is None:
            lq, gt = (data[key].to(self.device, non_blocking=True) for key in ('lq', 'gt'))
            return lq, gt, {}
        generator = generator_at(self.seed, 'degrade', place, self.process.rank)
        gt, log = self.choice(data, generator, self.device)
        original = data['original'].to(self.device, non_blocking=True).float().div(255)
        lq = crop_at(
            self.degradation(original, generator),
            data['offset'] // self.options.scale,
            gt.shape[-1] // self.options.scale,
        )
        gt = gt.float().div(255)
        if self.pool is not None:
            lq, gt = self.pool.exchange(lq, gt, generator)
        return lq, gt, log

    def optimize_parameters(
        self, batches: Sequence[Mapping[str, Any]], iteration: int, position: int
    ) -> dict[str, Tensor]:
        """Carry out one iteration.

        Args:
            batches: One batch, or several whose gradients are accumulated.
            iteration: Number of this iteration, from 1.
            position: Position of the first batch in the training stream; what is random in this
                iteration is a function of it.

        Returns:
            Values to log, detached, on the device.
        """
        train = self.options.train
        torch.manual_seed(seed_of(self.seed, 'network', position, self.process.rank))
        pairs, log = [], {}
        for number, data in enumerate(batches):
            lq, gt, chosen = self.feed_data(data, position + number)
            pairs.append((lq, gt))
            add_to(log, chosen, len(batches))
        update_g = iteration > train.net_d_init_iters and iteration % train.net_d_iters == 0
        outputs = self.step_generator(pairs, log, update_g, iteration)
        if self.net_d is not None:
            self.step_discriminator(pairs, outputs, log, iteration)
        for scheduler in self.schedulers.values():
            scheduler.step()
        return log

    def step_generator(
        self, pairs: list[tuple[Tensor, Tensor]], log: dict, update: bool, iteration: int
    ) -> list[Tensor]:
        """Update the generator, unless the discriminator is ahead of it; return its outputs."""
        outputs = []
        for number, (lq, gt) in enumerate(pairs):
            with self.synchronise(self.train_g, last=number == len(pairs) - 1):
                with torch.set_grad_enabled(update):
                    output = self.train_g(lq)
                if update:
                    loss, terms = self.objective(Batch(lq=lq, gt=gt, output=output))
                    (loss / len(pairs)).backward()
                    self.note(log, terms, loss, len(pairs))
            outputs.append(output.detach())
        if update:
            self.apply('g', self.net_g, log, iteration)
            self.update_ema()
        return outputs

    def step_discriminator(
        self,
        pairs: list[tuple[Tensor, Tensor]],
        outputs: list[Tensor],
        log: dict,
        iteration: int,
    ) -> None:
        """Update the discriminator on what the generator just made."""
        for number, ((_, gt), output) in enumerate(zip(pairs, outputs, strict=True)):
            with self.synchronise(self.train_d, last=number == len(pairs) - 1):
                loss, values = discriminator_loss(self.train_d, self.gan_loss, gt, output)
                (loss / len(pairs)).backward()
            self.note(log, values, loss, len(pairs))
        self.apply('d', self.net_d, log, iteration)

    def synchronise(self, network: nn.Module, *, last: bool) -> Any:
        """Exchange gradients between processes only at the last of the accumulated batches."""
        wrapped = isinstance(network, DistributedDataParallel)
        return network.no_sync() if wrapped and not last else nullcontext()

    def note(self, log: dict, values: Mapping[str, Tensor], loss: Tensor, parts: int) -> None:
        """Add the mean of the accumulated batches to the log, and watch the loss, on the device."""
        add_to(log, values, parts)
        self.finite &= loss.detach().isfinite()

    def apply(self, which: str, network: nn.Module, log: dict, iteration: int) -> None:
        """Let an optimiser take its step, at the warmed-up learning rate."""
        train, optimizer = self.options.train, self.optimizers[which]
        if train.clip_grad_norm is not None:
            norm = nn.utils.clip_grad_norm_(network.parameters(), train.clip_grad_norm)
            log[f'grad_norm_{which}'] = norm
        warming = iteration < train.warmup_iter
        rates = [group['lr'] for group in optimizer.param_groups]
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group['lr'] = rate * iteration / train.warmup_iter if warming else rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        # The scheduler continues from its own rate, as if there were no warm-up.
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group['lr'] = rate

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the averaged generator towards the current one."""
        if self.net_g_ema is None:
            return
        torch._foreach_lerp_(
            list(self.net_g_ema.parameters()),
            list(self.net_g.parameters()),
            1 - self.options.train.ema_decay,
        )
        for averaged, current in zip(self.net_g_ema.buffers(), self.net_g.buffers(), strict=True):
            averaged.copy_(current)

    def learning_rate(self) -> float:
        """The generator's learning rate, without warm-up."""
        return float(self.optimizers['g'].param_groups[0]['lr'])

    def healthy(self) -> bool:
        """Tell whether every loss so far and every weight is finite (waits for the device)."""
        weights = [p for net in self.networks().values() for p in net.parameters()]
        norms = torch.stack(torch._foreach_norm(weights))
        return bool(self.finite & norms.isfinite().all())

    # Inference

    @torch.no_grad()
    def test(self, lq: Tensor) -> Tensor:
        """Restore images with the averaged generator if there is one.

        Args:
            lq: :math:`(N, 3, H, W)` RGB in [0, 1], any size.

        Returns:
            :math:`(N, 3, sH, sW)` RGB, clamped to [0, 1].
        """
        network = self.net_g if self.net_g_ema is None else self.net_g_ema
        training = network.training
        network.eval()
        height, width = lq.shape[-2:]
        window = self.options.network_g.get('window_size', 1)
        padding = (0, -width % window, 0, -height % window)
        mode = 'reflect' if padding[1] < width and padding[3] < height else 'replicate'
        padded = F.pad(lq, padding, mode)
        output = network(padded)[..., : height * self.options.scale, : width * self.options.scale]
        network.train(training)
        return output.clamp(0, 1)

    # What is saved

    def networks(self) -> dict[str, nn.Module]:
        """The networks that train, by the name of their files."""
        networks = {'net_g': self.net_g}
        return networks | ({'net_d': self.net_d} if self.net_d is not None else {})

    def network_files(self) -> dict[str, dict[str, dict[str, Tensor]]]:
        """Weights in BasicSR's form, by the name of their files."""
        files = {name: {'params': on_cpu(net)} for name, net in self.networks().items()}
        if self.net_g_ema is not None:
            files['net_g']['params_ema'] = on_cpu(self.net_g_ema)
        return files

    def training_state(self) -> dict[str, Any]:
        """What beside the weights an exact continuation needs, the pools of all processes too."""
        pool = self.pool.state_dict() if self.pool is not None else None
        return {
            'pool_of': self.pool_of(),
            'optimizers': {k: o.state_dict() for k, o in self.optimizers.items()},
            'schedulers': {k: s.state_dict() for k, s in self.schedulers.items()},
            'pools': self.process.gather(pool),
        }

    def pool_of(self) -> list[int]:
        """What a pool must agree on to be continued: size, batch, crop, number of processes."""
        data = self.options.datasets['train']
        sizes = [self.options.queue_size, data.get('batch_size_per_gpu', 1), data.get('gt_size', 0)]
        return [*sizes, self.process.world_size]

    def load_pool(self, state: Mapping[str, Any]) -> None:
        """Continue the pair pool, or say why it starts empty."""
        if state['pool_of'] == self.pool_of():
            self.pool.load_state_dict(state['pools'][self.process.rank])
        else:
            logger.warning('The pair pool starts empty: batch, crop or processes have changed.')

    def load(self, networks: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Continue from `network_files` and `training_state`.

        Raises:
            RuntimeError: If they belong to other networks or optimisers.
        """
        for name, network in self.networks().items():
            network.load_state_dict(networks[name]['params'])
        if self.net_g_ema is not None:
            self.net_g_ema.load_state_dict(networks['net_g']['params_ema'])
        for key, optimizer in self.optimizers.items():
            saved = state['optimizers'][key]
            if saved['param_groups'][0].keys() != optimizer.param_groups[0].keys():
                raise ValueError(f'optim_{key} is of another type')
            optimizer.load_state_dict(saved)
            optimizer.zero_grad(set_to_none=True)
        for key, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state['schedulers'][key])
        if self.pool is not None:
            self.load_pool(state)
        self.finite.fill_(True)


def crop_at(image: Tensor, corner: Tensor, size: int) -> Tensor:
    """Crop every image of a batch at its own place.

    Args:
        image: :math:`(N, C, H, W)`.
        corner: :math:`(N, 2)` top and left, on the CPU.
        size: Side of the crops.

    Returns:
        :math:`(N, C, size, size)`.
    """
    corners = corner.tolist()
    crops = [i[:, y : y + size, x : x + size] for i, (y, x) in zip(image, corners, strict=True)]
    return torch.stack(crops)


def add_to(log: dict[str, Tensor], values: Mapping[str, Tensor], parts: int) -> None:
    """Add one of several parts of a mean."""
    for name, value in values.items():
        log[name] = log.get(name, 0) + value / parts


def on_cpu(network: nn.Module) -> dict[str, Tensor]:
    """Copy a state dict to the CPU."""
    return {key: value.detach().cpu() for key, value in network.state_dict().items()}
