"""The only model class: one training step, whatever backbone, sampling and objective."""

import copy
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from iqasr.archs.lora import add_lora, merged_state
from iqasr.archs.lora_files import save_lora
from iqasr.distributed import Process
from iqasr.losses import AdversarialTerm, Batch, Objective, build_term, discriminator_loss
from iqasr.metrics import needs_base
from iqasr.models.adapters import adapter_state, load_adapters, on_cpu
from iqasr.models.base_network import BaseNetwork
from iqasr.models.feeder import Fed, Feeder
from iqasr.models.networks import build_network, restore
from iqasr.models.optimisation import Optimisation
from iqasr.options import Options
from iqasr.randomness import generator_at, seed_of
from iqasr.registry import LOSS_REGISTRY, MODEL_REGISTRY, build
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
        # Initial weights are the only draws from torch's global generator that are not reseeded.
        torch.manual_seed(seed)
        self.net_g = build_network(options, 'g').to(process.device)
        self.net_g_ema: nn.Module | None = None
        self.net_d: nn.Module | None = None
        self.base: BaseNetwork | None = None
        if options.train is not None:
            self.set_up_training(choice)

    def set_up_training(self, choice: GTChoice | None) -> None:
        """Build what only training needs."""
        options, train = self.options, self.options.train
        if options.lora is not None:
            trained = add_lora(self.net_g, options.lora, generator_at(self.seed, 'lora'))
            count = sum(parameter.numel() for parameter in trained)
            logger.info('lora: %s parameters are trained.', f'{count:,}')
        if train.ema_decay > 0:
            self.net_g_ema = copy.deepcopy(self.net_g).eval().requires_grad_(False)
        terms = {name: build_term(o) for name, o in train.terms.items() if name != 'gan'}
        for term in terms.values():
            term.check_size(options.datasets['train'].get('gt_size') or 0)
        if 'gan' in train.terms:
            self.gan_loss = build(LOSS_REGISTRY, train.terms['gan']).to(self.device)
            self.net_d = build_network(options, 'd').to(self.device)
            terms['gan'] = AdversarialTerm(self.net_d, self.gan_loss)
        self.objective = Objective(terms, options.sharpen).to(self.device)
        compared = any(needs_base(section) for section in options.val.metrics.values())
        # Adapters cost no copy, so that a base is always there with them.
        if self.objective.needs('base') or options.lora is not None or compared:
            self.base = BaseNetwork(self.net_g, options)
        self.feed = Feeder(options, self.process, self.seed, choice)
        self.optimisation = {'g': Optimisation(self.net_g, train.optim_g, train)}
        if self.net_d is not None:
            self.optimisation['d'] = Optimisation(self.net_d, train.optim_d, train)
        self.train_g = self.wrap(self.net_g)
        self.train_d = self.wrap(self.net_d) if self.net_d is not None else None
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)

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
            fed, chosen = self.feed(data, position + number)
            pairs.append(fed)
            add_to(log, chosen, len(batches))
        update_g = iteration > train.net_d_init_iters and iteration % train.net_d_iters == 0
        outputs = self.step_generator(pairs, log, update_g, iteration, position)
        if self.net_d is not None:
            self.step_discriminator(pairs, outputs, log, iteration)
        for optimisation in self.optimisation.values():
            optimisation.end_iteration()
        return log

    def step_generator(
        self, pairs: list[Fed], log: dict, update: bool, iteration: int, position: int
    ) -> list[Tensor]:
        """Update the generator, unless the discriminator is ahead of it; return its outputs."""
        outputs = []
        for number, fed in enumerate(pairs):
            with self.synchronise(self.train_g, last=number == len(pairs) - 1):
                with torch.set_grad_enabled(update):
                    output = self.train_g(fed.lq)
                if update:
                    loss, terms = self.objective(
                        self.batch_of(fed, output, iteration, position + number)
                    )
                    (loss / len(pairs)).backward()
                    self.note(log, terms, loss, len(pairs))
            outputs.append(output.detach())
        if update:
            self.step('g', log, iteration)
            self.update_ema()
        return outputs

    @torch.no_grad()
    def batch_of(self, fed: Fed, output: Tensor, iteration: int, place: int) -> Batch:
        """Gather what the terms look at."""
        needs = self.objective.needs
        return Batch(
            **vars(fed),
            output=output,
            generator=generator_at(self.seed, 'objective', place, self.process.rank),
            iteration=iteration,
            base=self.base_output(fed.lq) if needs('base') else None,
            average=self.net_g_ema(fed.lq) if needs('average') else None,
        )

    def step_discriminator(
        self, pairs: list[Fed], outputs: list[Tensor], log: dict, iteration: int
    ) -> None:
        """Update the discriminator on what the generator just made."""
        for number, (fed, output) in enumerate(zip(pairs, outputs, strict=True)):
            with self.synchronise(self.train_d, last=number == len(pairs) - 1):
                real = fed.sharpened if 'gan' in self.options.sharpen else fed.gt
                loss, values = discriminator_loss(self.train_d, self.gan_loss, real, output)
                (loss / len(pairs)).backward()
            self.note(log, values, loss, len(pairs))
        self.step('d', log, iteration)

    def synchronise(self, network: nn.Module, *, last: bool) -> Any:
        """Exchange gradients between processes only at the last of the accumulated batches."""
        wrapped = isinstance(network, DistributedDataParallel)
        return network.no_sync() if wrapped and not last else nullcontext()

    def note(self, log: dict, values: Mapping[str, Tensor], loss: Tensor, parts: int) -> None:
        """Add the mean of the accumulated batches to the log, and watch the loss, on the device."""
        add_to(log, values, parts)
        self.finite &= loss.detach().isfinite()

    def step(self, which: str, log: dict, iteration: int) -> None:
        """Let a network take its step."""
        norm = self.optimisation[which].step(iteration)
        if norm is not None:
            log[f'grad_norm_{which}'] = norm

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
        return self.optimisation['g'].learning_rate()

    def healthy(self) -> bool:
        """Tell whether every loss so far and every weight is finite (waits for the device)."""
        weights = [p for net in self.networks().values() for p in net.parameters()]
        norms = torch.stack(torch._foreach_norm(weights))
        return bool(self.finite & norms.isfinite().all())

    # Inference

    def test(self, lq: Tensor) -> Tensor:
        """Restore images with the averaged generator if there is one.

        Args:
            lq: :math:`(N, 3, H, W)` RGB in [0, 1], any size.

        Returns:
            :math:`(N, 3, sH, sW)` RGB, clamped to [0, 1].
        """
        network = self.net_g if self.net_g_ema is None else self.net_g_ema
        return restore(network, lq, self.options).clamp(0, 1)

    def base_output(self, lq: Tensor) -> Tensor:
        """Restore images with the generator as it was before this run; only if it has a `base`.

        Args:
            lq: :math:`(N, 3, H, W)` RGB in [0, 1], any size.

        Returns:
            :math:`(N, 3, sH, sW)` RGB, not clamped, without gradient.
        """
        return self.base(lq)

    # What is saved

    def networks(self) -> dict[str, nn.Module]:
        """The networks that train, by the name of their files."""
        networks = {'net_g': self.net_g}
        return networks | ({'net_d': self.net_d} if self.net_d is not None else {})

    def network_files(self) -> dict[str, dict[str, dict[str, Tensor]]]:
        """Weights in BasicSR's form, adapters merged, by the name of their files."""
        files = {n: {'params': on_cpu(merged_state(net))} for n, net in self.networks().items()}
        if self.net_g_ema is not None:
            files['net_g']['params_ema'] = on_cpu(merged_state(self.net_g_ema))
        return files

    def training_state(self) -> dict[str, Any]:
        """What beside the weights an exact continuation needs, the pools of all processes too."""
        return {
            'lora': adapter_state(self.net_g, self.net_g_ema) if self.options.lora else None,
            'base': self.base.state() if self.base is not None else None,
            'optimisation': {k: o.state_dict() for k, o in self.optimisation.items()},
            'feeder': self.feed.state_dict(),
            'calibration': self.objective.calibration_state(),
        }

    def save_adapters(self, path: Path) -> None:
        """Write the averaged adapters, if there are any, as a profile of their own."""
        if self.options.lora is not None:
            network = self.net_g if self.net_g_ema is None else self.net_g_ema
            save_lora(network, path, self.options.name)

    def load(self, networks: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Continue from `network_files` and `training_state`.

        Raises:
            RuntimeError: If they belong to other networks or optimisers.
        """
        for name, network in self.networks().items():
            if name != 'net_g' or self.options.lora is None:
                network.load_state_dict(networks[name]['params'])
        if self.options.lora is not None:
            load_adapters(self.net_g, self.net_g_ema, state['lora'])
        elif self.net_g_ema is not None:
            self.net_g_ema.load_state_dict(networks['net_g']['params_ema'])
        if self.base is not None:
            self.base.check(state.get('base'))
        for key, optimisation in self.optimisation.items():
            optimisation.load_state_dict(state['optimisation'][key])
        self.feed.load_state_dict(state['feeder'])
        self.objective.load_calibration_state(state['calibration'])
        self.finite.fill_(True)


def add_to(log: dict[str, Tensor], values: Mapping[str, Tensor], parts: int) -> None:
    """Add one of several parts of a mean."""
    for name, value in values.items():
        log[name] = log.get(name, 0) + value / parts
