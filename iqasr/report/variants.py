"""Variants of a training: run with several seeds, and compared with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from iqasr.analysis.bootstrap import mean_estimate
from iqasr.data.scores.score_map import score_map
from iqasr.data.scores.score_table import score_candidates
from iqasr.enhancement.sample_dataset import make_sample_dataset
from iqasr.evaluation.evaluate import write_image
from iqasr.evaluation.result_folder import ResultFolder, read_result_folder
from iqasr.quality import RankerScorer
from iqasr.report.commands import run_command
from iqasr.report.pictures import picture_grid
from iqasr.report.table import ARROWS
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.markdown import markdown_table
from iqasr.runtime.paths import project_root


@dataclass(frozen=True)
class Variant:
    """A variant of the training.

    Args:
        name: The name in ``options/train/quickstart_<name>_x4.yml``.
        after: Variant from whose network, of the same seed, it starts; None for the start in the
            option file.
        checkpoints: Iterations that are tested beside the last.
    """

    name: str
    after: str | None = None
    checkpoints: tuple[int, ...] = ()

    @property
    def option_file(self) -> Path:
        """The option file of its training."""
        return project_root() / f'options/train/quickstart_{self.name}_x4.yml'


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
"""Pairs of variants whose differences are reported."""

TEST_NAME = 'photographs'

MAP_CROP_PX, MAP_STRIDE_PX = 128, 48
MAP = f'map_ranker_{MAP_CROP_PX}_{MAP_STRIDE_PX}.safetensors'
"""Quality map for AMO, so that crops are scored once for all runs. Their side is ``gt_size``."""

ARTIFACTS = (
    'val:metrics:high_frequency={type: calculate_high_frequency, crop_border: 4}',
    'val:metrics:worst_tile={type: calculate_worst_tile, scorer: {type: RankerScorer}, '
    'tile_px: 64, crop_border: 4}',
)
"""Further metrics of every test, which show local and fine artifacts."""


@dataclass(frozen=True)
class VariantRuns:
    """The runs of all variants and seeds.

    Args:
        root: Folder for experiments and results.
        data: Data set of scripts/make_sample_dataset.py.
        test_set: Folder with ``gt`` and ``lq_x4``.
        seeds: Seeds; one run of every variant for each.
        overrides: Further options of every test, as for ``--force_yml``.
        training: Further options of every training that does not start from another variant.
    """

    root: Path
    data: Path
    test_set: Path
    seeds: Sequence[int]
    overrides: Sequence[str] = ()
    training: Sequence[str] = ()

    def run(self, processes: int) -> None:
        """Do all unfinished training and tests; may be killed and started again."""
        first = [v for v in VARIANTS if v.after is None]
        for variants in (first, [v for v in VARIANTS if v.after is not None]):
            with ThreadPoolExecutor(processes) as pool:
                jobs = [(v, seed) for seed in self.seeds for v in variants]
                list(pool.map(lambda job: self.train_and_test(*job), jobs))

    def train_and_test(self, variant: Variant, seed: int) -> None:
        """Train and test one variant with one seed."""
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
            overrides.append(
                f'datasets:train:quality:table={self.data / "train/quality_ranker.csv"}'
            )
        if variant.name.startswith('amo'):
            overrides.append(f'datasets:train:quality={{map: {self.data / "train" / MAP}}}')
        if variant.after is None:
            overrides += self.training
        else:
            start = self.weights_path(run_name(variant.after, seed), 'latest')
            overrides.append(f'path:pretrain_network_g={start}')
        run_command('train', variant.option_file, overrides, '--auto_resume')
        self.test(name, self.weights_path(name, 'latest'))
        for iteration in variant.checkpoints:
            tested = run_name(f'{variant.name}@{iteration}', seed)
            self.test(tested, self.weights_path(name, iteration))

    def weights_path(self, run: str, iteration: int | str) -> Path:
        """Path of the weights of a run."""
        return self.root / 'experiments' / run / 'models' / f'net_g_{iteration}.pth'

    def test(self, name: str, weights: Path) -> None:
        """Test a network, unless that is done."""
        if (self.root / 'results' / name / 'summary.json').is_file():
            return
        overrides = [
            f'name={name}',
            f'path:root={self.root}',
            f'path:pretrain_network_g={weights}',
            f'datasets:test:name={TEST_NAME}',
            f'datasets:test:dataroot_gt={self.test_set / "gt"}',
            f'datasets:test:dataroot_lq={self.test_set / "lq_x4"}',
            *self.overrides,
        ]
        run_command('test', project_root() / 'options/test/quickstart_x4.yml', overrides)

    def results(self, name: str, seed: int) -> ResultFolder:
        """Read the results of a variant, or of a checkpoint of it (``<variant>@<iteration>``)."""
        return read_result_folder(self.root / 'results' / run_name(name, seed))

    def values(self, name: str) -> dict[str, np.ndarray]:
        """Read the values of a variant by metric, seeds x photographs."""
        runs = [list(self.results(name, s).values(TEST_NAME).values()) for s in self.seeds]
        return {m: np.array([[row[m] for row in rows] for rows in runs]) for m in runs[0][0]}


def run_name(name: str, seed: int) -> str:
    """Name the run of a variant, or the test of a checkpoint of it (``<variant>@<iteration>``)."""
    variant, *iteration = name.split('@')
    return '-'.join([f'study_{variant}_seed{seed}', *iteration])


def variant_tables(
    values: Mapping[str, Mapping[str, np.ndarray]],
    directions: Mapping[str, str],
    comparisons: Iterable[tuple[str, str]],
) -> str:
    """Write the means of variants, and their differences paired by seed and photograph.

    Args:
        values: By variant and metric, seeds x photographs.
        directions: By metric, ``higher`` or ``lower``.
        comparisons: Pairs of a variant and the one with which it is compared.

    Returns:
        Two Markdown tables.
    """
    metrics = [f'{metric}{ARROWS[better]}' for metric, better in directions.items()]
    means = [
        [name, *(str(mean_estimate(own[metric], metric)) for metric in directions)]
        for name, own in values.items()
    ]
    gains = [
        [
            f'{name} - {other}',
            *(
                mean_estimate(values[name][m] - values[other][m], m).as_difference()
                for m in directions
            ),
        ]
        for name, other in comparisons
    ]
    tables = ((['variant', *metrics], means), (['difference', *metrics], gains))
    return '\n\n'.join(markdown_table(head, rows) for head, rows in tables)


def find_equal_gain(values: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[str, str]:
    """Find the checkpoints of full fine-tuning and of adapters with the closest ranker scores."""
    score = {name: value['ranker'].mean() for name, value in values.items()}
    full = [name for name in score if name.startswith('amo_finetune_full')]
    adapters = [n for n in score if n.startswith('amo_finetune') and n not in full]
    return min(product(full, adapters), key=lambda pair: abs(score[pair[0]] - score[pair[1]]))


def compare_variants(
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
    """Make the data, run all variants, write tables (``study.md``) and pictures (``study.png``).

    Args:
        train: Folder of photographs to train on.
        test: Folder of photographs to test on.
        target: Folder for data, runs and results. What exists is not done again.
        seeds: Seeds; one run of every variant for each.
        reduce: Factor by which photographs are reduced first.
        held_out: Weights of a ranker that no variant optimises, as a further metric.
        processes: Number of runs at a time.
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
    score_map(source, RankerScorer(), crop=MAP_CROP_PX, stride=MAP_STRIDE_PX)
    overrides = list(ARTIFACTS)
    if held_out:
        scorer = f"{{type: RankerScorer, weights: '{held_out}'}}"
        section = f'{{type: calculate_quality, scorer: {scorer}, crop_border: 4}}'
        overrides.append(f'val:metrics:other_ranker={section}')
    runs = VariantRuns(root, root / 'data', root / 'data/val', seeds, overrides, training)
    runs.run(processes)
    names = [name for v in VARIANTS for name in (*(f'{v.name}@{i}' for i in v.checkpoints), v.name)]
    values = {name: runs.values(name) for name in names}
    comparisons = (*COMPARISONS, find_equal_gain(values))
    shown = [runs.results(variant.name, seeds[0]) for variant in VARIANTS]
    text = variant_tables(values, shown[0].better, comparisons) + '\n'
    write_text_atomically(text, root / 'study.md')
    write_image(root / 'study.png', picture_grid(shown, per_image=1))
    return text
