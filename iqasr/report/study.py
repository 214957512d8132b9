"""A study: the same training under several variants and seeds, compared with intervals."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iqasr.data.scores.score_map import score_map
from iqasr.data.scores.score_table import score_candidates
from iqasr.enhancement.sample_dataset import make_sample_dataset
from iqasr.evaluation.evaluate import write_image
from iqasr.quality import RankerScorer
from iqasr.report.bootstrap import interval
from iqasr.report.grid import picture_grid
from iqasr.report.results import read_results
from iqasr.report.table import ARROWS
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.paths import project_root


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Args:
        name: Of ``options/train/quickstart_<name>_x4.yml``.
        after: Variant whose network, of the same seed, it starts from; None for its own start.
        checkpoints: Iterations that are tested, too, beside the last.
    """

    name: str
    after: str | None = None
    checkpoints: tuple[int, ...] = ()


VARIANTS = (
    Variant('original'),
    Variant('uniform'),
    Variant('sma'),
    Variant('amo'),
    Variant('amo_finetune', 'amo', (100,)),
    Variant('amo_finetune_full', 'amo', (25, 50, 100)),
)

COMPARISONS = (
    ('uniform', 'original'),
    ('sma', 'uniform'),
    ('amo', 'uniform'),
    ('amo', 'original'),
    ('amo_finetune', 'amo'),
    ('amo_finetune_full', 'amo'),
)
"""Pairs of variants whose differences are shown."""

CROP_PX, STRIDE_PX = 128, 48
MAP = f'map_ranker_{CROP_PX}_{STRIDE_PX}.safetensors'
"""What AMO chooses by: each crop is scored once for all runs. Their side is that of training."""

ARTIFACTS = (
    'val:metrics:high_frequency={type: calculate_high_frequency, crop_border: 4}',
    'val:metrics:worst_tile={type: WorstTile, scorer: {type: RankerScorer}, tile_px: 64, '
    'crop_border: 4}',
)
"""Metrics of every test beside those of its option file: they show local and fine artifacts."""


@dataclass(frozen=True)
class Study:
    """Where a study finds and leaves things.

    Args:
        root: Folder for experiments and results.
        data: Made by scripts/make_sample_dataset.py.
        test_set: Folder with ``gt`` and ``lq_x4``.
        seeds: One run of every variant each.
        overrides: Further options of every test, as for ``--force_yml``.
        training: Further options of every training but those that start from another one.
    """

    root: Path
    data: Path
    test_set: Path
    seeds: Sequence[int]
    overrides: Sequence[str] = ()
    training: Sequence[str] = ()

    def run(self, processes: int) -> None:
        """Train and test what is not finished yet; may be killed and started again."""
        first = [v for v in VARIANTS if v.after is None]
        for variants in (first, [v for v in VARIANTS if v.after is not None]):
            with ThreadPoolExecutor(processes) as pool:
                jobs = [(v, seed) for seed in self.seeds for v in variants]
                list(pool.map(lambda job: self.train_and_test(*job), jobs))

    def train_and_test(self, variant: Variant, seed: int) -> None:
        """Carry out one run."""
        name = run_name(variant.name, seed)
        overrides = [
            f'name={name}',
            f'manual_seed={seed}',
            f'path:root={self.root}',
            'logger:use_tb_logger=false',
            'logger:keep_checkpoints=1',
            f'logger:save_checkpoint_freq={min(variant.checkpoints, default=100)}',
            'val={val_freq: 1000000, metrics: {}}',
            f'datasets:train:dataroot_gt={self.data / "train"}',
            f'datasets:val:dataroot_gt={self.data / "val/gt"}',
            f'datasets:val:dataroot_lq={self.data / "val/lq_x4"}',
        ]
        if variant.name == 'sma':
            overrides.append(f'quality:table={self.data / "train/quality_ranker.csv"}')
        if variant.name.startswith('amo'):
            overrides.append(f'quality={{map: {self.data / "train" / MAP}}}')
        if variant.after is None:
            overrides += self.training
        else:
            overrides.append(
                f'path:pretrain_network_g={self.weights(run_name(variant.after, seed), "latest")}'
            )
        command('train', f'train/quickstart_{variant.name}', overrides, '--auto_resume')
        self.test(name, self.weights(name, 'latest'))
        for iteration in variant.checkpoints:
            self.test(f'{name}@{iteration}', self.weights(name, iteration))

    def weights(self, run: str, iteration: int | str) -> Path:
        """Name the weights of a run."""
        return self.root / 'experiments' / run / 'models' / f'net_g_{iteration}.pth'

    def test(self, name: str, weights: Path) -> None:
        """Test a network on the study's test set, unless that is done."""
        name = name.replace('@', '-')
        if (self.root / 'results' / name / 'summary.json').is_file():
            return
        overrides = [
            f'name={name}',
            f'path:root={self.root}',
            f'path:pretrain_network_g={weights}',
            'datasets:test:name=photographs',
            f'datasets:test:dataroot_gt={self.test_set / "gt"}',
            f'datasets:test:dataroot_lq={self.test_set / "lq_x4"}',
            *self.overrides,
        ]
        command('test', 'test/quickstart', overrides)

    def values(self, name: str) -> dict[str, np.ndarray]:
        """Read a variant's results: by metric, seeds x photographs, higher is better."""
        runs = []
        for seed in self.seeds:
            run, _, iteration = name.partition('@')
            folder = (
                self.root / 'results' / '-'.join(filter(None, (run_name(run, seed), iteration)))
            )
            with (folder / 'photographs.csv').open(encoding='utf-8') as file:
                runs.append(list(csv.DictReader(file)))
        metrics = [key for key in runs[0][0] if key != 'name']
        return {m: np.array([[float(row[m]) for row in rows] for rows in runs]) for m in metrics}

    def directions(self) -> dict[str, str]:
        """Direction of each metric, ``higher`` or ``lower``."""
        return read_results(
            self.root / 'results' / run_name(VARIANTS[0].name, self.seeds[0])
        ).better


def run_name(variant: str, seed: int) -> str:
    """Name the run of a variant and seed."""
    return f'study_{variant}_seed{seed}'


def command(script: str, option_file: str, overrides: Sequence[str], *flags: str) -> None:
    """Run a command of this project on one core.

    Raises:
        RuntimeError: If it fails; the message holds the end of what it said.
    """
    root = project_root()
    words = [sys.executable, str(root / 'iqasr' / f'{script}.py')]
    words += ['-opt', str(root / 'options' / f'{option_file}_x4.yml')]
    words += [*flags, '--force_yml', *overrides]
    environment = os.environ | {'OMP_NUM_THREADS': '1'}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'{" ".join(words)} failed:\n{done.stderr[-2000:]}')


def study_tables(
    values: Mapping[str, Mapping[str, np.ndarray]],
    directions: Mapping[str, str],
    comparisons: Iterable[tuple[str, str]],
) -> str:
    """Compare variants: means, and differences to a reference, paired by seed and photograph.

    Args:
        values: By variant and metric, seeds x photographs.
        directions: By metric, ``higher`` or ``lower``.
        comparisons: Pairs of a variant and what it is compared with.

    Returns:
        Two Markdown tables; differences whose interval excludes 0 are bold.
    """
    head = '| ' + ' | '.join(f'{m}{ARROWS[d]}' for m, d in directions.items()) + ' |'
    rule = '|---' * (len(directions) + 1) + '|'
    means = [f'| variant {head}', rule]
    for name, metrics in values.items():
        cells = (interval(metrics[m], m) for m in directions)
        means.append(
            f'| {name} | ' + ' | '.join(f'{a:.3f} [{b:.3f}, {c:.3f}]' for a, b, c in cells) + ' |'
        )
    gains = [f'| difference {head}', rule]
    for name, reference in comparisons:
        cells = []
        for metric in directions:
            mean, low, high = interval(values[name][metric] - values[reference][metric], metric)
            mark = '**' if low > 0 or high < 0 else ''
            cells.append(f'{mark}{mean:+.3f}{mark} [{low:+.3f}, {high:+.3f}]')
        gains.append(f'| {name} - {reference} | ' + ' | '.join(cells) + ' |')
    return '\n'.join([*means, '', *gains])


def at_equal_gain(values: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[str, str]:
    """Find the checkpoints of full fine-tuning and of adapters whose scores are nearest."""
    found = {name: value['ranker'].mean() for name, value in values.items()}
    full = [name for name in found if name.startswith('amo_finetune_full')]
    adapters = [n for n in found if n.startswith('amo_finetune') and n not in full]
    pairs = ((name, reference) for name in full for reference in adapters)
    return min(pairs, key=lambda pair: abs(found[pair[0]] - found[pair[1]]))


def study_from_folders(
    train: str,
    test: str,
    target: str,
    seeds: Sequence[int],
    *,
    reduce: float = 2.0,
    held_out: str | None = None,
    processes: int = 2,
    training: Sequence[str] = (),
) -> str:
    """Make the data, run the study, write ``study.md`` and a grid of pictures.

    Args:
        train: Folder of photographs to train on.
        test: Folder of photographs to test on.
        target: Folder for data, runs and results; what is there is not done again.
        seeds: One run of every variant each.
        reduce: Photographs are made smaller by this factor first.
        held_out: Weights of a ranker that no variant optimises, as a judge.
        processes: Runs at a time.
        training: Further options of every training but fine-tuning, as for ``--force_yml``.

    Returns:
        The tables, Markdown.

    Raises:
        DataError: If a folder holds no photographs.
        RuntimeError: If a run fails.
    """
    root = Path(target).resolve()
    if not (root / 'data').exists():
        root.mkdir(parents=True, exist_ok=True)
        make_sample_dataset(str(root / 'data'), train, test, reduce=reduce)
    source = str(root / 'data/train')
    score_candidates(source, RankerScorer())
    score_map(source, RankerScorer(), crop=CROP_PX, stride=STRIDE_PX)
    judge = f"{{type: RankerScorer, weights: '{held_out}'}}" if held_out else ''
    section = f'{{type: QualityMetric, scorer: {judge}, crop_border: 4}}'
    overrides = [*ARTIFACTS, *([f'val:metrics:other_ranker={section}'] if held_out else [])]
    study = Study(root, root / 'data', root / 'data/val', seeds, overrides, training)
    study.run(processes)
    names = [name for v in VARIANTS for name in (*(f'{v.name}@{i}' for i in v.checkpoints), v.name)]
    values = {name: study.values(name) for name in names}
    comparisons = (*COMPARISONS, at_equal_gain(values))
    text = study_tables(values, study.directions(), comparisons) + '\n'
    write_text_atomically(text, root / 'study.md')
    shown = [read_results(root / 'results' / run_name(v.name, seeds[0])) for v in VARIANTS]
    write_image(root / 'study.png', picture_grid(shown, per_image=1))
    return text
