"""The model: BasicSR's contract around networks, samples, objective and validation."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from basicsr.models.base_model import BaseModel
from torch import Tensor, nn
from torch.utils.data import DataLoader

from iqasr.archs.lora import add_lora
from iqasr.archs.lora_files import save_lora
from iqasr.checking.check import options_from
from iqasr.evaluation.evaluate import Result, dataset_name, evaluate, side_by_side
from iqasr.evaluation.history import ValidationHistory
from iqasr.evaluation.measured_images import MeasuredImages
from iqasr.losses import term_inputs
from iqasr.metrics import build_metrics, needs_base
from iqasr.models.base_network import BaseNetwork
from iqasr.models.networks import build_discriminator, build_generator
from iqasr.models.restorer import Restorer
from iqasr.models.running_means import RunningMeans
from iqasr.models.sample_preparation import Pairs, SamplePreparation
from iqasr.models.training_step import TrainingStep, add_to
from iqasr.models.watched_score import WatchedScore
from iqasr.registry import MODEL_REGISTRY
from iqasr.runtime.checkpoint_folder import CheckpointFolder
from iqasr.runtime.distributed import this_process
from iqasr.runtime.errors import OptionError
from iqasr.runtime.logs import log_through_basicsr
from iqasr.runtime.randomness import generator_at
from iqasr.runtime.weights import load_file

logger = logging.getLogger('iqasr')

BOARD_IMAGES = 4
"""Validation images shown in TensorBoard."""


class PreparedBatch(NamedTuple):
    """A batch that waits for `RestorationModel.optimize_parameters`."""

    pairs: Pairs
    log: dict[str, Tensor]
    position: int
    """Of its first sample in the training stream."""
    size: int
    """Samples of it, over all processes."""


@MODEL_REGISTRY.register()
class RestorationModel(BaseModel):
    """The only model class, whatever backbone, sampling and objective.

    It is driven as any model of BasicSR, by its trainer or by `iqasr.training`. For each iteration:
    `update_learning_rate`, then `feed_data` with a batch (or several, whose gradients are
    accumulated), then `optimize_parameters`.

    Args:
        opt: Options as BasicSR passes them: those of the option file, and what
            ``basicsr.utils.options.parse_options`` adds.

    Raises:
        OptionError: If an option is unknown or wrong; the message lists all of them.
        CheckpointError: If pretrained weights are missing or of another network.
    """

    options_are_checked = True

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        log_through_basicsr()
        self.options = options_from(opt)
        self.process = this_process(use_gpu=opt['num_gpu'] != 0)
        self.device = self.process.device
        self.seed = opt.get('manual_seed') or 0
        self.position = 0
        """Samples of the training stream that have been used, over all processes."""
        self.interrupted: Callable[[], bool] = lambda: False
        """Asked between validation images whether to give up."""
        self.unfinished: Path | None = None
        """Folder in which a test keeps what it has measured, to go on with it."""
        self.waiting: list[PreparedBatch] = []
        self.lq: Tensor | None = None
        self.gt: Tensor | list[Tensor] | None = None
        self.output: Tensor | None = None
        self.log_dict: dict[str, Tensor] = {}
        self.means = RunningMeans()
        self.watched: dict[str, WatchedScore] = {}
        """Scores that training is to raise, by their name in the log."""
        options, resumed = self.options, self.read_resume_state()
        self.restorer = Restorer(
            options.scale,
            options.val.tile_px,
            options.val.tile_overlap_px,
            self_ensemble=options.val.self_ensemble,
        )
        self.metrics, self.missing_metrics = build_metrics(
            options.val.metrics,
            options.val.panel,
            panel_crop_border=options.val.panel_crop_border,
            device=self.device,
        )
        # After the metrics, whose networks draw, too. Initial weights are the only draws from
        # torch's global generator that are not reseeded.
        torch.manual_seed(self.seed)
        if options.is_restored and not self.is_train:  # nothing to restore, only to measure
            self.net_g = nn.Identity()
        else:
            self.net_g = build_generator(options).to(self.device)
        self.net_d: nn.Module | None = None
        self.net_g_ema: nn.Module | None = None
        self.base: BaseNetwork | None = None
        self.step: TrainingStep | None = None
        self.history: ValidationHistory | None = None
        self.checkpoints: CheckpointFolder | None = None
        if self.is_train:
            self.init_training(resumed.get('forms'))
        else:
            self.preparation = SamplePreparation(
                {}, scale=options.scale, sharpen=[], process=self.process, seed=self.seed
            )

    def init_training(self, layouts: Mapping[str, str] | None) -> None:
        """Set up what only training needs."""
        options, train = self.options, self.options.train
        if options.lora is not None:
            trained = add_lora(self.net_g, options.lora, generator_at(self.seed, 'lora'))
            count = sum(parameter.numel() for parameter in trained)
            logger.info('lora: %s parameters are trained.', f'{count:,}')
        if 'gan' in train.terms:
            self.net_d = build_discriminator(options).to(self.device)
        compared = any('base' in term_inputs(section) for section in train.terms.values())
        compared = compared or any(map(needs_base, options.val.metrics.values()))
        # Adapters cost no copy, so that with them there is always a base.
        if compared or options.lora is not None:
            self.base = BaseNetwork(self.net_g, self.restorer)
        self.step = TrainingStep(
            options,
            self.net_g,
            self.net_d,
            base=self.base,
            process=self.process,
            seed=self.seed,
            layouts=layouts,
        )
        self.watched = {
            f'q_{name}': WatchedScore(self.process) for name in self.step.objective.pushed_scores()
        }
        self.net_g_ema, self.preparation = self.step.net_g_ema, self.step.preparation
        self.optimizers = [o.optimizer for o in self.step.optimisation.values()]
        root = Path(self.opt['path']['experiments_root'])
        self.checkpoints = CheckpointFolder(root, options.logger.keep_checkpoints)
        names = [s.get('name', key) for key, s in options.datasets_of('val').items()]
        self.history = ValidationHistory(options.val, self.metrics, names, root, self.process)

    # Training

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """Take a batch of the loader.

        Args:
            data: Of a paired set (``lq``, ``gt``; with ``lq`` alone it can only be tested), or of
                `MultiGTDataset`. With ``position``, :math:`(N,)`, what is random is a function of
                it; without, of the number of samples before.
        """
        position = self.position + sum(batch.size for batch in self.waiting)
        if 'position' in data:
            position = int(data['position'][0]) - self.process.rank
        pairs, log = self.preparation(data, position)
        self.lq, self.gt = pairs.lq, pairs.gt
        self.waiting.append(
            PreparedBatch(pairs, log, position, len(pairs.lq) * self.process.world_size)
        )

    def optimize_parameters(self, current_iter: int) -> None:
        """Carry out an iteration with the batches that were fed.

        Args:
            current_iter: Number of the iteration, from 1.

        Raises:
            OptionError: If fewer batches were fed than are to be accumulated, or if a score has no
                room in iteration 1.
        """
        prepared, self.waiting = self.waiting, []
        if len(prepared) < self.options.train.accumulate:
            raise OptionError(
                f'train.accumulate: {self.options.train.accumulate} batches are needed for an '
                f'iteration, but {len(prepared)} came. Train by iqasr-train, or remove the option.'
            )
        pairs = [batch.pairs for batch in prepared]
        log = self.step(pairs, current_iter, prepared[0].position)
        for batch in prepared:
            add_to(log, batch.log, len(prepared))
        self.position = prepared[-1].position + prepared[-1].size
        self.log_dict = log
        self.means.add(log)
        for name in self.watched.keys() & log.keys():
            self.watched[name].add(log[name])

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1) -> None:
        """Set the learning rates of an iteration; see `Optimisation.update_learning_rate`."""
        for optimisation in self.step.optimisation.values():
            optimisation.update_learning_rate(current_iter, warmup_iter)

    def get_current_log(self) -> dict[str, float]:
        """Return the means of the logged values since the last call, over all processes.

        Warns where a score that training is to raise has fallen, or has hardly any gradient left.
        Waits for the device; all processes call it.
        """
        for name, calibration in self.step.objective.calibrations().items():
            if warning := calibration.compare():
                logger.warning('l_%s %s', name, warning)
        for name, score in self.watched.items():
            if warning := score.compare():
                logger.warning('%s %s', name, warning)
        return self.means.take(self.process)

    def is_finite(self) -> bool:
        """Tell whether every loss so far and every weight is finite (waits for the device)."""
        return self.step.is_finite()

    def non_finite(self) -> list[str]:
        """Name what is not finite: losses since the last report, as logged; and parameters."""
        losses = [name for name in self.means.non_finite() if name.startswith('l_')]
        return losses + self.step.non_finite_parameters()

    # Inference

    def restore(self, lq: Tensor) -> Tensor:
        """Restore images with the averaged generator if there is one.

        Args:
            lq: :math:`(N, 3, H, W)` RGB in [0, 1], any size.

        Returns:
            :math:`(N, 3, sH, sW)` RGB, clamped to [0, 1].
        """
        network = self.net_g if self.net_g_ema is None else self.net_g_ema
        return self.restorer(network, lq).clamp(0, 1)

    def test(self) -> None:
        """Restore the images that were fed last; see `get_current_visuals`."""
        self.waiting.clear()
        self.output = self.restore(self.lq)

    def get_current_visuals(self) -> dict[str, Tensor]:
        """Return ``lq``, ``result`` and, if there is one, ``gt``: on the CPU, RGB in [0, 1]."""
        gt = self.gt[0] if isinstance(self.gt, list) and self.gt else self.gt
        found = {'lq': self.lq, 'result': self.output, 'gt': gt}
        return {k: v.detach().cpu() for k, v in found.items() if isinstance(v, Tensor)}

    def validation(
        self,
        dataloader: DataLoader,
        current_iter: int | str,
        tb_logger: Any,
        save_img: bool = False,
    ) -> Result | None:
        """Restore and measure a data set; all processes share the images.

        In training, the best values and ``val.guard`` are kept up to date.

        Args:
            dataloader: Loader of the set; its items are read from ``dataloader.dataset``.
            current_iter: Number of the iteration; the name of the run in a test.
            tb_logger: TensorBoard's ``SummaryWriter``, or None.
            save_img: Save the restored images.

        Returns:
            What was found; None if `interrupted`.
        """
        name, shown = dataset_name(dataloader.dataset), []

        def show(key: str, *images: np.ndarray) -> None:
            if tb_logger and len(shown) < BOARD_IMAGES:
                shown.append(key)
                tb_logger.add_image(f'{name}/{key}', side_by_side(*images), current_iter)

        result = evaluate(
            self.restore,
            dataloader.dataset,
            self.metrics,
            name=name,
            process=self.process,
            base=self.base,
            save_to=self.image_path(name, current_iter) if save_img else None,
            show=show,
            interrupted=self.interrupted,
            measured=MeasuredImages(self.unfinished and self.unfinished / name),
        )
        if result is not None and self.history is not None:
            self.history.add(result, current_iter, tb_logger)
            self.keep_best(current_iter)
        elif result is not None:
            logger.info('%s, %s', self.options.name, result.summary(self.metrics))
        return result

    def image_path(self, dataset: str, iteration: int | str) -> Callable[[str], Path]:
        """Return the function that names the file of a restored image."""
        folder = Path(self.opt['path']['visualization']) / dataset
        if self.is_train:
            return lambda image: folder / image / f'{image}_{iteration}.png'
        ending = self.options.val.suffix or self.options.name
        return lambda image: folder / f'{image}_{ending}.png'

    # Checkpoints

    def save(self, epoch: int, current_iter: int) -> None:
        """Save networks and training state; all processes call it.

        Args:
            epoch: Epoch, for BasicSR's trainer.
            current_iter: Number of the iteration; -1 saves the networks as ``latest``.

        Raises:
            CheckpointError: If the disk is full; earlier checkpoints are untouched.
        """
        if current_iter == -1:
            if self.process.is_main:
                self.checkpoints.save_networks('latest', self.step.network_files())
            return
        path = self.options.path
        state = {
            'epoch': epoch,
            'iter': current_iter,
            'position': self.position,
            'seed': self.seed,
            'options': self.options.as_yaml(),
            'pretrained': {'path': path.pretrain_network_g, 'key': path.param_key_g},
            'watched': {name: score.state_dict() for name, score in self.watched.items()},
            **self.step.state_dict(),
        }
        if self.process.is_main:
            self.checkpoints.save(current_iter, self.step.network_files(), state)
            self.save_adapters(current_iter)
        self.process.barrier()

    def save_adapters(self, iteration: int) -> None:
        """Save the averaged adapters, if there are any, as a profile of their own."""
        if self.options.lora is not None:
            network = self.net_g if self.net_g_ema is None else self.net_g_ema
            path = self.checkpoints.models / f'lora_g_{iteration}.safetensors'
            save_lora(network, path, self.options.name)

    def keep_best(self, iteration: int | str) -> None:
        """Save the generator as ``net_g_best.pth`` if this validation has found it the best."""
        if self.process.is_main and self.history.best_iteration == iteration:
            generator = {'net_g': self.step.network_files()['net_g']}
            self.checkpoints.save_networks(iteration, generator)
            self.save_adapters(iteration)
            self.checkpoints.publish_best(iteration)

    def read_resume_state(self) -> dict[str, Any]:
        """Read the state that ``path.resume_state`` names; empty if none is named.

        BasicSR replaces the pretrained weights of a resumed run by those of its checkpoint. What
        the run had started from, and compares with, is put back.
        """
        path = self.options.path
        if not self.is_train or path.resume_state is None:
            return {}
        state, folder = load_file(path.resume_state), Path(path.resume_state).parents[1]
        own = folder / 'models' / f'net_g_{state["iter"]}.pth'
        if path.pretrain_network_g is not None and Path(path.pretrain_network_g) == own:
            pretrained = state['pretrained']
            path.pretrain_network_g, path.param_key_g = pretrained['path'], pretrained['key']
        return state

    def resume_training(self, resume_state: Mapping[str, Any]) -> None:
        """Continue from a training state, and from the networks saved with it.

        Args:
            resume_state: Content of the file that ``path.resume_state`` names.

        Raises:
            CheckpointError: If the networks are missing, or anything is of other options.
        """
        folder = CheckpointFolder(Path(self.options.path.resume_state).parents[1])
        self.load(folder.load_networks(resume_state), resume_state)

    def load(self, networks: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Continue from the networks and the training state of a checkpoint.

        Raises:
            RuntimeError: If they belong to other networks.
            ValueError: If they belong to another base or other optimisers.
        """
        self.step.load(networks, state)
        self.position = state['position']
        self.means.take(self.process)
        for name, score in self.watched.items():
            score.load_state_dict(state.get('watched', {}).get(name, {}))
        self.history.read(until=state['iter'])
