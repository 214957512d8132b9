"""One training step of a generator, and of a discriminator beside it."""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.archs.lora import merged_state
from iqasr.losses import Adversary, Batch, Judgement, KnownGradient, Objective, build_term
from iqasr.models.base_network import BaseNetwork, adapter_state, load_adapters, on_cpu
from iqasr.models.cuda_graphs import CapturedFunction
from iqasr.models.optimisation import Optimisation
from iqasr.models.sample_preparation import Pairs, SamplePreparation
from iqasr.models.speed import (
    CAPTURED,
    autocast_of,
    choose_layouts,
    lay_out,
    random_batch,
)
from iqasr.options.sections import Options
from iqasr.registry import LOSS_REGISTRY, build
from iqasr.runtime.distributed import Process, synchronise
from iqasr.runtime.errors import OptionError
from iqasr.runtime.randomness import generator_at, seed_of
from iqasr.runtime.weights import non_finite_names

logger = logging.getLogger('iqasr')


class TrainingStep:
    """The networks that train, their objective and their optimisers.

    Args:
        options: The checked option file.
        net_g: The generator, on the device; adapters attached.
        net_d: The discriminator, if there is one.
        base: The generator before the run, if a term compares with it.
        process: This process.
        seed: Seed of the run.
        layouts: Of the networks, in a run to continue; see `iqasr.models.speed`.

    Raises:
        OptionError: If ``train.amp`` is not possible on this device, or a term cannot be built.
    """

    def __init__(
        self,
        options: Options,
        net_g: nn.Module,
        net_d: nn.Module | None,
        *,
        base: BaseNetwork | None,
        process: Process,
        seed: int,
        layouts: Mapping[str, str] | None = None,
    ) -> None:
        train, data = options.train, options.train_set
        self.train, self.process, self.seed = train, process, seed
        self.net_g, self.net_d, self.base = net_g, net_d, base
        self.adapted = options.lora is not None
        terms: dict[str, nn.Module] = {}
        for name, section in train.terms.items():
            if name != 'gan':
                with naming(f'train.{name}_opt'):
                    terms[name] = build_term(section).to(process.device)
                    terms[name].check_size(data.get('gt_size') or 0)
        self.autocast = autocast_of(train.amp, process.device)
        modules = self.networks() | terms
        self.layouts = choose_layouts(
            options, modules, self.autocast, process=process, known=layouts
        )
        called = {k: self.lay_out(k, m, options) for k, m in modules.items()}
        self.train_g, self.train_d = (
            process.wrap(called.get(name), find_unused=options.find_unused_parameters)
            for name in ('net_g', 'net_d')
        )
        self.net_g_ema: nn.Module | None = None
        if train.ema_decay > 0:
            self.net_g_ema = copy.deepcopy(net_g).eval().requires_grad_(False)
        self.adversary: Adversary | None = None
        if net_d is not None:
            loss = build(LOSS_REGISTRY, train.terms['gan']).to(process.device)
            self.adversary = Adversary(net_d, loss)
        given = ('gan',) if net_d is not None else ()
        self.objective = Objective(terms, options.sharpen, given)
        self.preparation = SamplePreparation(
            data, scale=options.scale, sharpen=options.sharpen, process=process, seed=seed
        )
        self.optimisation = {
            name[-1]: Optimisation(
                network,
                getattr(train, f'optim_{name[-1]}'),
                scheduler=train.scheduler,
                clip_grad_norm=train.clip_grad_norm,
                scale_loss=train.amp == 'fp16',
            )
            for name, network in self.networks().items()
        }
        self.captured_sides: CapturedFunction | None = None
        if CAPTURED in self.layouts.get('net_g', '') and net_d is not None and train.amp != 'fp16':
            self.captured_sides = self.capture_sides(options)
        self.finite = torch.ones((), dtype=torch.bool, device=process.device)
        """Whether every loss so far was finite; on the device."""

    def lay_out(self, name: str, module: nn.Module, options: Options) -> nn.Module:
        """Bring a network or term into its layout, and return what to call."""
        layout = self.layouts.get(name, 'plain')
        captured = layout.endswith(CAPTURED)
        sample = random_batch(options, self.process.device).lq if captured else None
        return lay_out(module, layout, sample, self.autocast)

    def networks(self) -> dict[str, nn.Module]:
        """The networks that train, by the name of their files."""
        return {'net_g': self.net_g} | ({'net_d': self.net_d} if self.net_d is not None else {})

    def __call__(
        self, batches: Sequence[Pairs], iteration: int, position: int
    ) -> dict[str, Tensor]:
        """Carry out one iteration.

        Args:
            batches: One batch, or several whose gradients are accumulated.
            iteration: Number of this iteration, from 1.
            position: Position of the first batch in the training stream; what is random in this
                iteration is a function of it.

        Returns:
            Values to log, detached, on the device.

        Raises:
            OptionError: If a term cannot learn from what the network makes in iteration 1.
        """
        torch.manual_seed(seed_of(self.seed, 'network', position, self.process.rank))
        log: dict[str, Tensor] = {}
        update = iteration > self.train.net_d_init_iters and iteration % self.train.net_d_iters == 0
        # In fp16, the gradients of each side need a scale of their own.
        shared = update and self.net_d is not None and self.train.amp != 'fp16'
        images = []
        for number, pairs in enumerate(batches):
            sharpened = self.preparation.sharpen_gt(pairs)
            real = sharpened if 'gan' in self.preparation.sharpen else pairs.gt
            last = number == len(batches) - 1
            with synchronise(self.train_g, last=last), synchronise(self.train_d, last=last):
                with self.naming_network(), torch.set_grad_enabled(update), self.autocast():
                    output = self.train_g(pairs.lq).float()
                if iteration == 1 and number == 0:
                    self.objective.check_start(output, pairs.gt)
                if update:
                    batch = self.complete(pairs, output, sharpened, iteration, position + number)
                    self.back_propagate(batch, real, log, len(batches), shared=shared)
            images.append((real, output.detach()))
        if update:
            self.step_optimizer('g', log)
            self.update_average()
        if self.net_d is not None:
            if not shared:
                self.back_propagate_discriminator(images, log)
            self.step_optimizer('d', log)
        return log

    @contextmanager
    def naming_network(self) -> Iterator[None]:
        """Begin what the network refuses with its section; BatchNorm refuses a single crop."""
        try:
            yield
        except ValueError as error:
            raise OptionError(
                f'network_g: {error}. It may need more crops, datasets.train.batch_size_per_gpu, '
                'or larger ones, gt_size.'
            ) from error

    def complete(
        self, pairs: Pairs, output: Tensor, sharpened: Tensor | None, iteration: int, place: int
    ) -> Batch:
        """Gather what the terms look at."""
        needs = self.objective.needs
        with torch.no_grad(), self.autocast():
            base = self.base(pairs.lq).float() if needs('base') else None
            average = self.net_g_ema(pairs.lq).float() if needs('average') else None
        return Batch(
            lq=pairs.lq,
            gt=pairs.gt,
            output=output,
            negative=pairs.negative,
            sharpened=sharpened,
            generator=generator_at(self.seed, 'objective', place, self.process.rank),
            iteration=iteration,
            base=base,
            average=average,
        )

    def back_propagate(
        self, batch: Batch, real: Tensor, log: dict[str, Tensor], parts: int, *, shared: bool
    ) -> None:
        """Add the gradients of one of several batches; with `shared`, the discriminator's too."""
        given = {}
        if shared:
            judgement = self.judge(batch.output, real, parts)
            given['gan'] = judgement.generator_loss
            self.note(log, judgement.log, judgement.discriminator_loss, parts)
        elif self.adversary is not None:
            with self.autocast():
                given['gan'] = self.adversary.generator_loss(batch.output, real)
        with self.autocast():
            loss, values = self.objective(batch, given)
        self.optimisation['g'].backward(loss / parts)
        self.note(log, values, loss, parts)

    def judge(self, output: Tensor, real: Tensor, parts: int) -> Judgement:
        """Evaluate both sides of the adversarial loss, and add the discriminator's gradients."""
        if self.captured_sides is not None and self.captured_sides.fits(output, real):
            value, gradient, loss, log = self.captured_sides(output, real)
            return Judgement(KnownGradient.apply(output, value, gradient), loss, log)
        with self.autocast():
            judgement = self.adversary.judge(output, real, self.train_d)
        # At once, so that its graph is freed before the other terms build theirs.
        weights = self.optimisation['d'].parameters
        self.optimisation['d'].backward(judgement.discriminator_loss / parts, inputs=weights)
        return judgement

    def capture_sides(self, options: Options) -> CapturedFunction | None:
        """Capture what `judge` does with one batch; None, and a warning, if that is impossible."""

        def evaluate(output: Tensor, real: Tensor) -> tuple:
            with self.autocast(cache_enabled=False):
                value, gradient, loss, log = self.adversary.evaluate(output, real, self.train_d)
            loss.backward(inputs=self.optimisation['d'].parameters)
            return value, gradient, loss.detach(), log

        batch = random_batch(options, self.process.device)
        try:
            return CapturedFunction(evaluate, (batch.output, batch.gt), self.net_d)
        except RuntimeError as error:
            logger.warning('train.speed: the discriminator cannot be captured: %.300s', error)
            return None

    def back_propagate_discriminator(
        self, images: Sequence[tuple[Tensor, Tensor]], log: dict[str, Tensor]
    ) -> None:
        """Add the discriminator's gradients on real images and what the generator just made."""
        for number, (real, output) in enumerate(images):
            with synchronise(self.train_d, last=number == len(images) - 1):
                with self.autocast():
                    loss, values = self.adversary.discriminator_loss(output, real, self.train_d)
                self.optimisation['d'].backward(loss / len(images))
            self.note(log, values, loss, len(images))

    def note(
        self, log: dict[str, Tensor], values: Mapping[str, Tensor], loss: Tensor, parts: int
    ) -> None:
        """Add one of several parts of a mean to the log, and watch the loss, on the device."""
        add_to(log, values, parts)
        self.finite &= loss.detach().isfinite()

    def step_optimizer(self, which: str, log: dict[str, Tensor]) -> None:
        """Let a network take its step."""
        norm = self.optimisation[which].step()
        if norm is not None:
            log[f'grad_norm_{which}'] = norm

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged generator towards the current one; its weights in one operation."""
        if self.net_g_ema is None:
            return
        own, other = (list(n.parameters()) for n in (self.net_g_ema, self.net_g))
        torch._foreach_lerp_(own, other, 1 - self.train.ema_decay)
        buffers = zip(self.net_g_ema.buffers(), self.net_g.buffers(), strict=True)
        for averaged, current in buffers:
            averaged.copy_(current)

    def is_finite(self) -> bool:
        """Tell whether every loss so far and every weight is finite (waits for the device)."""
        weights = [p for net in self.networks().values() for p in net.parameters()]
        norms = torch.stack(torch._foreach_norm(weights))
        return bool(self.finite & norms.isfinite().all())

    def non_finite_parameters(self) -> list[str]:
        """Name the parameters that hold NaN or infinity, as ``net_g.<name>``."""
        networks = self.networks().items()
        return non_finite_names(
            {f'{n}.{k}': p for n, net in networks for k, p in net.named_parameters()}
        )

    # What is saved

    def network_files(self) -> dict[str, dict[str, dict[str, Tensor]]]:
        """Return weights in BasicSR's form, adapters merged, by the name of their files."""
        networks = self.networks().items()
        files = {name: {'params': on_cpu(merged_state(net))} for name, net in networks}
        if self.net_g_ema is not None:
            files['net_g']['params_ema'] = on_cpu(merged_state(self.net_g_ema))
        return files

    def state_dict(self) -> dict[str, Any]:
        """Return what beside the weights an exact continuation needs; all processes call it."""
        return {
            'networks': list(self.networks()),
            'lora': adapter_state(self.net_g, self.net_g_ema) if self.adapted else None,
            'base': self.base.state() if self.base is not None else None,
            'optimisation': {k: o.state_dict() for k, o in self.optimisation.items()},
            'feeder': self.preparation.state_dict(),
            'calibration': self.objective.calibration_state(),
            'forms': self.layouts,
        }

    def load(self, files: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Continue from `network_files` and `state_dict`.

        Raises:
            RuntimeError: If they are of other networks.
            ValueError: If they are of another base or other optimisers, or lack what is trained.
        """
        if self.networks().keys() - files.keys():
            raise ValueError('train.gan_opt: the checkpoint has no discriminator')
        if self.net_g_ema is not None and 'params_ema' not in files['net_g']:
            raise ValueError('train.ema_decay: the checkpoint has no averaged weights')
        for name, network in self.networks().items():
            if name != 'net_g' or not self.adapted:
                network.load_state_dict(files[name]['params'])
        if self.adapted:
            load_adapters(self.net_g, self.net_g_ema, state['lora'])
        elif self.net_g_ema is not None:
            self.net_g_ema.load_state_dict(files['net_g']['params_ema'])
        if self.base is not None:
            self.base.check(state.get('base'))
        for key, optimisation in self.optimisation.items():
            try:
                optimisation.load_state_dict(state['optimisation'][key], state['iter'])
            except ValueError as error:
                raise ValueError(f'train.optim_{key}: {error}') from error
        self.preparation.load_state_dict(state['feeder'])
        self.objective.load_calibration_state(state['calibration'])
        self.finite.fill_(True)


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Begin a refusal with the path of the section that is refused."""
    try:
        yield
    except ValueError as error:
        raise OptionError(f'{path}: {error}') from error


def add_to(log: dict[str, Tensor], values: Mapping[str, Tensor], parts: int) -> None:
    """Add one of several parts of a mean."""
    for name, value in values.items():
        log[name] = log.get(name, 0) + value / parts
