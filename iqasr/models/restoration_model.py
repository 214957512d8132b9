"""The only model class: one training step, whatever backbone, sampling and objective."""

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.archs.lora import add_lora, merged_state
from iqasr.archs.lora_files import save_lora
from iqasr.losses import Adversary, Batch, Judgement, Objective, build_term
from iqasr.metrics import needs_base
from iqasr.models.adapters import adapter_state, load_adapters, on_cpu
from iqasr.models.averaging import move_average
from iqasr.models.base_network import BaseNetwork
from iqasr.models.choice import GTChoice
from iqasr.models.feeder import Fed, Feeder
from iqasr.models.networks import build_network, restore
from iqasr.models.optimisation import Optimisation
from iqasr.models.speed import autocast_of, bring_into, choose_forms
from iqasr.options.sections import Options
from iqasr.registry import LOSS_REGISTRY, MODEL_REGISTRY, build
from iqasr.runtime.distributed import Process, synchronise
from iqasr.runtime.randomness import generator_at, seed_of

logger = logging.getLogger('iqasr')


@MODEL_REGISTRY.register()
class RestorationModel:
    """Networks, objective and optimisers of one run.

    Args:
        options: The checked option file.
        process: This process and its device.
        seed: Seed of the run.
        choice: Chooses the ground truth of multi-GT samples; None for paired data.
        forms: Of the networks, in a run to continue; see `iqasr.models.speed`.

    Raises:
        OptionError: If ``train.amp`` is not possible on this device.
    """

    def __init__(
        self,
        options: Options,
        process: Process,
        seed: int,
        choice: GTChoice | None = None,
        forms: Mapping[str, str] | None = None,
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
            self.set_up_training(choice, forms)

    def set_up_training(self, choice: GTChoice | None, forms: Mapping[str, str] | None) -> None:
        """Build what only training needs."""
        options, train = self.options, self.options.train
        if options.lora is not None:
            trained = add_lora(self.net_g, options.lora, generator_at(self.seed, 'lora'))
            count = sum(parameter.numel() for parameter in trained)
            logger.info('lora: %s parameters are trained.', f'{count:,}')
        terms = {name: build_term(o) for name, o in train.terms.items() if name != 'gan'}
        for term in terms.values():
            term.to(self.device).check_size(options.datasets['train'].get('gt_size') or 0)
        if 'gan' in train.terms:
            self.net_d = build_network(options, 'd').to(self.device)
        self.autocast = autocast_of(train.amp, self.device)
        modules = self.networks() | terms
        self.forms = choose_forms(options, self.process, modules, self.autocast, forms)
        called = bring_into(self.forms, modules)
        self.train_g, self.train_d = (
            self.process.wrap(called.get(name), find_unused=options.find_unused_parameters)
            for name in ('net_g', 'net_d')
        )
        if train.ema_decay > 0:
            self.net_g_ema = copy.deepcopy(self.net_g).eval().requires_grad_(False)
        if self.net_d is not None:
            gan_loss = build(LOSS_REGISTRY, train.terms['gan']).to(self.device)
            self.adversary = Adversary(self.net_d, gan_loss)
            # Each side's gradients need a scale of their own in fp16.
            self.shares_pass = train.amp != 'fp16'
        given = ('gan',) if self.net_d is not None else ()
        self.objective = Objective(terms, options.sharpen, given)
        compared = any(needs_base(section) for section in options.val.metrics.values())
        # Adapters cost no copy, so that a base is always there with them.
        if self.objective.needs('base') or options.lora is not None or compared:
            self.base = BaseNetwork(self.net_g, options)
        self.feed = Feeder(options, self.process, self.seed, choice)
        self.optimisation = {'g': Optimisation(self.net_g, train.optim_g, train)}
        if self.net_d is not None:
            self.optimisation['d'] = Optimisation(self.net_d, train.optim_d, train)
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)

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
            if not (update_g and self.shares_pass):
                self.teach_discriminator(pairs, outputs, log)
            self.step('d', log, iteration)
        for optimisation in self.optimisation.values():
            optimisation.end_iteration()
        return log

    def step_generator(
        self, pairs: list[Fed], log: dict, update: bool, iteration: int, position: int
    ) -> list[Tensor]:
        """Update the generator, unless the discriminator is ahead of it; return its outputs."""
        outputs, parts = [], len(pairs)
        for number, fed in enumerate(pairs):
            last = number == parts - 1
            with synchronise(self.train_g, last=last), synchronise(self.train_d, last=last):
                with torch.set_grad_enabled(update), self.autocast():
                    output = self.train_g(fed.lq).float()
                if update:
                    batch = self.batch_of(fed, output, iteration, position + number)
                    with self.autocast():
                        given, judgement = self.judge(fed, output, parts)
                        loss, terms = self.objective(batch, given)
                    self.optimisation['g'].backward(loss / parts)
                    self.note(log, terms, loss, parts)
                    if judgement is not None:
                        self.note(log, judgement.log, judgement.discriminator_loss, parts)
            outputs.append(output.detach())
        if update:
            self.step('g', log, iteration)
            self.update_ema()
        return outputs

    @torch.no_grad()
    def batch_of(self, fed: Fed, output: Tensor, iteration: int, place: int) -> Batch:
        """Gather what the terms look at."""
        needs = self.objective.needs
        with self.autocast():
            base = self.base_output(fed.lq).float() if needs('base') else None
            average = self.net_g_ema(fed.lq).float() if needs('average') else None
        return Batch(
            **vars(fed),
            output=output,
            generator=generator_at(self.seed, 'objective', place, self.process.rank),
            iteration=iteration,
            base=base,
            average=average,
        )

    def judge(
        self, fed: Fed, output: Tensor, parts: int
    ) -> tuple[dict[str, Tensor], Judgement | None]:
        """Evaluate the adversarial term; give the discriminator its gradients if that is free.

        Returns:
            The term by name, if there is a discriminator, and the judgement it has learnt from.
        """
        if self.net_d is None:
            return {}, None
        if not self.shares_pass:
            return {'gan': self.adversary.generator_loss(output, self.real_of(fed))}, None
        judgement = self.adversary.judge(output, self.real_of(fed), self.train_d)
        # At once, so that the pass is forgotten before those of the terms.
        loss = judgement.discriminator_loss / parts
        loss.backward(inputs=self.optimisation['d'].parameters)
        return {'gan': judgement.generator_loss}, judgement

    def real_of(self, fed: Fed) -> Tensor:
        """The ground truth that the discriminator sees."""
        return fed.sharpened if 'gan' in self.options.sharpen else fed.gt

    def teach_discriminator(self, pairs: list[Fed], outputs: list[Tensor], log: dict) -> None:
        """Give the discriminator its gradients on what the generator just made."""
        for number, (fed, output) in enumerate(zip(pairs, outputs, strict=True)):
            with synchronise(self.train_d, last=number == len(pairs) - 1):
                with self.autocast():
                    loss, values = self.adversary.discriminator_loss(
                        output, self.real_of(fed), self.train_d
                    )
                self.optimisation['d'].backward(loss / len(pairs))
            self.note(log, values, loss, len(pairs))

    def note(self, log: dict, values: Mapping[str, Tensor], loss: Tensor, parts: int) -> None:
        """Add the mean of the accumulated batches to the log, and watch the loss, on the device."""
        add_to(log, values, parts)
        self.finite &= loss.detach().isfinite()

    def step(self, which: str, log: dict, iteration: int) -> None:
        """Let a network take its step."""
        norm = self.optimisation[which].step(iteration)
        if norm is not None:
            log[f'grad_norm_{which}'] = norm

    def update_ema(self) -> None:
        """Move the averaged generator towards the current one."""
        if self.net_g_ema is not None:
            move_average(self.net_g_ema, self.net_g, self.options.train.ema_decay)

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
            'forms': self.forms,
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
