"""Runs of a study: each by an option file of its own, none done twice, and one may fail."""

import hashlib
import json
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml

from iqasr.data.files.photographs import detailed_places
from iqasr.enhancement.sample_dataset import write_pair
from iqasr.evaluation.result_folder import ResultFolder, read_result_folder
from iqasr.options.file import read_yaml
from iqasr.options.opt import checked_options
from iqasr.options.sections import OURS, Section
from iqasr.report.commands import run_unless_done
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.crops import cut_square
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.markdown import escape_markdown

logger = logging.getLogger('iqasr')

BICUBIC, START = 'bicubic', 'start'
"""Labels of what is compared beside the runs: the enlargement, and the network before them."""


class StudyPlan(Section):
    """What a study does.

    Attributes:
        options: The option file that all runs share, without names, data paths and weights. Its
            ``val`` holds the judges.
    """

    options: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a plan.

        Raises:
            OptionError: If it cannot be read, or cannot be carried out; the message lists why.
        """
        try:
            plan = cls(**checked_options('plan', read_yaml(path), cls))
        except OptionError as error:
            raise OptionError(f'{path}:\n{error}') from None
        if problems := plan.problems():
            raise OptionError('\n'.join([f'{path}:', *problems]))
        return plan

    def problems(self) -> list[str]:
        """List what is missing, or contradicts itself."""
        there = {*self.options, *(f'datasets.{x}' for x in self.options.get('datasets', {}))}
        if there >= {'scale', 'datasets.train', 'train'}:
            return []
        return ['options: need scale, datasets.train and train, as an option file does.']

    @abstractmethod
    def test_options(
        self, name: str, root: Path, data: Path, weights: str | None, key: str = 'params'
    ) -> dict[str, Any]:
        """Write the option file of a test.

        Args:
            name: Name of its results.
            root: Folder that receives them.
            data: Folder of the data.
            weights: Of the network; None for bicubic enlargement.
            key: Which weights of the file.
        """


@dataclass
class StudyRuns(ABC):
    """Trainings and tests in a folder; may be killed and started again.

    Args:
        root: Folder for option files, experiments and results.
        plan: What to do.
        data: Folder of the data.
    """

    root: Path
    plan: StudyPlan
    data: Path
    failures: dict[str, str] = field(default_factory=dict, kw_only=True)
    """Why runs or tests failed, by name."""

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Do something, and note it if it fails."""
        try:
            work()
        except (OSError, RuntimeError, ValueError) as error:
            self.failures[name] = str(error)
            logger.warning('%s: %s', name, last_line(str(error)))

    def attempt_each(self, runs: Sequence[Any]) -> None:
        """Do the unfinished runs, which have a ``name``; one that fails stops no other."""
        for number, run in enumerate(runs, 1):
            begin = time.monotonic()
            self.attempt(run.name, lambda run=run: self.train_and_test(run))
            state = 'failed' if run.name in self.failures else 'done'
            seconds = time.monotonic() - begin
            logger.info('%d/%d %s: %s, %.0f s', number, len(runs), run.name, state, seconds)

    def train_and_test(self, run: Any) -> None:
        """Do one training and its test, as far as they are not done."""
        self.test_network(run.name, *self.train(self.train_options(run)))

    @abstractmethod
    def train_options(self, run: Any) -> dict[str, Any]:
        """Write the option file of a training."""

    def test_network(self, name: str, weights: str | None, key: str = 'params') -> None:
        """Test a network, None for bicubic enlargement, if that is not done."""
        self.test(self.plan.test_options(name, self.root, self.data, weights, key))

    def train(self, options: dict[str, Any]) -> tuple[str, str]:
        """Do a training, if it is not done; returns its weights and which of them to take."""
        name = options['name']
        trained, tested = self.root / 'experiments' / name, self.root / 'results' / name
        weights = trained / 'models/net_g_latest.pth'
        self.perform('train', options, weights, (trained, tested))
        return str(weights), 'params_ema' if options['train'].get('ema_decay') else 'params'

    def test(self, options: dict[str, Any]) -> None:
        """Do a test, if it is not done."""
        folder = self.root / 'results' / options['name']
        self.perform('test', options, folder / 'summary.json', (folder,))

    def perform(
        self, command: str, options: dict[str, Any], product: Path, folders: Sequence[Path]
    ) -> None:
        """Run a command, unless its product was made by these options and weights."""
        path = self.root / 'options' / f'{options["name"]}_{command}.yml'
        write_text_atomically(yaml.safe_dump(options, sort_keys=False, allow_unicode=True), path)
        run_unless_done(command, path, product, folders)

    def results(self, name: str, label: str) -> ResultFolder | None:
        """Read results under a label; None if there are none."""
        folder = self.root / 'results' / name
        if not (folder / 'summary.json').is_file():
            return None
        return replace(read_result_folder(folder), name=label)

    def warnings(self, name: str) -> list[str]:
        """Collect what a training has warned of, each warning once."""
        logs = sorted((self.root / 'experiments' / name).glob('train_*.log'))
        lines = [line for log in logs for line in log.read_text(encoding='utf-8').splitlines()]
        return list(dict.fromkeys(x.split(' WARNING: ', 1)[1] for x in lines if ' WARNING: ' in x))


def options_of_test(
    name: str,
    shared: Mapping[str, Any],
    root: Path,
    sets: Mapping[str, Path],
    weights: str | None,
    key: str = 'params',
) -> dict[str, Any]:
    """Write the option file of a test.

    Args:
        name: Name of its results.
        shared: What all option files of the study share; its ``val`` holds the judges.
        root: Folder that receives the results.
        sets: Folders with ``gt`` and ``lq_x<scale>``, by the name of the test set.
        weights: Of the network; None for bicubic enlargement.
        key: Which weights of the file.
    """
    scale = shared['scale']
    sections = {
        'test' if number == 0 else f'test_{number}': {
            'name': dataset,
            'type': 'PairedImageDataset',
            'dataroot_gt': str(folder / 'gt'),
            'dataroot_lq': str(folder / f'lq_x{scale}'),
            'io_backend': {'type': 'disk'},
        }
        for number, (dataset, folder) in enumerate(sets.items())
    }
    bicubic = {} if weights else {'network_g': {'type': 'Bicubic', 'upscale': scale}}
    network = {'pretrain_network_g': weights, 'param_key_g': key} if weights else {}
    return {
        'name': name,
        'model_type': OURS,
        'scale': scale,
        'num_gpu': shared.get('num_gpu', 'auto'),
        'datasets': sections,
        **bicubic,
        'path': {'root': str(root)} | network,
        'val': shared.get('val', {}) | {'save_img': True},
    }


def write_test_set(
    target: Path, images: Iterable[tuple[str, np.ndarray]], crop_px: int, scale: int
) -> None:
    """Cut the most detailed square out of each image, or all of a smaller one; unless that is done.

    Args:
        target: Folder to make: ``gt`` and the bicubic reductions, ``lq_x<scale>``.
        images: Names and ``(H, W, 3)`` uint8 RGB.
        crop_px: Side of the squares.
        scale: Factor of the reduction.

    Raises:
        DataError: If there are no images.
    """
    if target.exists():
        return
    partial = target.with_name(f'{target.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    for name, image in images:
        (place,) = detailed_places(image, crop_px, 1)
        write_pair(partial, name, cut_square(image, place, crop_px), scale)
    if not partial.exists():
        raise DataError(f'{target.name}: no images are left for this test set.')
    partial.replace(target)


def digest_of(content: Mapping[str, Any]) -> str:
    """Identify what data depend on, JSON content: eight hex digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def list_notes(failures: Mapping[str, str], notes: Iterable[str] = ()) -> list[str]:
    """Write a list, Markdown, of failures by name and of further notes; nothing if none."""
    said = [*(f'{name} failed: {last_line(why)}' for name, why in failures.items()), *notes]
    return ['\n'.join(f'- {escape_markdown(note)}' for note in said)] if said else []


def last_line(text: str) -> str:
    """Take the last line of a message, which mostly says what was wrong."""
    return text.strip().rpartition('\n')[2]
