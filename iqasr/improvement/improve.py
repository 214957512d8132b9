"""From a network and photographs to a better network, or to the sentence that it is not better."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iqasr.archs.sizes import sizes_of
from iqasr.data.files.image_files import decode_rgb
from iqasr.data.scores.quality_map import lattice
from iqasr.data.scores.score_map import score_map
from iqasr.enhancement.candidate_maker import make_candidates
from iqasr.enhancement.recipe import Recipe, build_recipes
from iqasr.enhancement.selection import SelectionRules
from iqasr.enhancement.settings import EnhancementSettings
from iqasr.evaluation.result_folder import read_result_folder
from iqasr.improvement.material import (
    PHOTOGRAPHS,
    SQUARES,
    TRAIN,
    Sizes,
    read_material,
    write_material,
)
from iqasr.improvement.option_files import (
    AMO,
    BICUBIC,
    DEGRADATIONS,
    FINETUNE,
    IMPROVED,
    MAP_PARTS,
    START,
    Setting,
)
from iqasr.improvement.probe import lr_gain, time_each, time_score, time_step
from iqasr.improvement.verdict import verdict_of
from iqasr.models.export import export
from iqasr.models.networks import open_network
from iqasr.options.file import read_yaml
from iqasr.pretrained import is_known
from iqasr.quality import LPIPSScorer, RankerScorer
from iqasr.report.commands import run_unless_done
from iqasr.report.comparison import compare_runs
from iqasr.report.report import write_report
from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.runtime.commands import REFUSALS, exit_code_of
from iqasr.runtime.distributed import this_process
from iqasr.runtime.errors import DataError
from iqasr.runtime.paths import resolve

logger = logging.getLogger('iqasr')

ENHANCERS = ('realesrgan-x4plus', 'UnsharpMask', '{type: LocalContrast}', 'NonLocalMeans')
"""What makes candidates beside the network itself."""

CROP_PX, SQUARE_PX = 128, 256
LEAST_ITERATIONS, MOST_ITERATIONS = 40, 5000
BATCHES = {'cpu': 2, 'cuda': 8}
"""Crops of an iteration, by device."""
OPTIONS, MERGED, VERDICT = 'options', 'improved.pth', 'verdict.md'
PLANNED = 'planned.json'
"""File beside the option files that says for how many minutes they are."""


@dataclass
class Improvement:
    """The improvement of one network in a folder; may be killed and started again.

    Option files are written where there are none. One that was edited is done again, with all
    that follows from it.

    Args:
        weights: The network: weights that are recognised, a name, or a test option file's.
        photographs: Folder of photographs; not changed.
        root: Folder of the outcome.
        minutes: Time for the two trainings together.
        reduce: Factor by which photographs are reduced first.
        enhancers: What makes candidates beside the network, as in `build_recipes`.
    """

    weights: str
    photographs: str
    root: Path
    minutes: float = 20.0
    reduce: float = 2.0
    enhancers: Sequence[str] = ENHANCERS

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        if not is_known(self.weights):
            self.weights = str(resolve(self.weights))
        self.photographs = str(Path(self.photographs).resolve())
        self.network, self.scale = open_network(self.weights)
        least = -(-CROP_PX // self.scale)
        self.lq_px = least + max(sizes_of(self.network).padding(least, least))
        square = max(SQUARE_PX, CROP_PX + self.lq_px * self.scale // 2)
        self.sizes = Sizes(self.scale, square // self.scale * self.scale, self.reduce)
        self.process = this_process(use_gpu=True)

    def run(self) -> str:
        """Do all unfinished steps; returns the verdict, Markdown."""
        setting = self.prepare()
        self.step('candidates', lambda: self.make_candidates())
        self.step('scores', lambda: self.score(setting))
        self.step('AMO', lambda: self.train(setting, AMO))
        self.step('FT', lambda: self.train(setting, FINETUNE))
        self.step('merging', lambda: self.merge(setting))
        self.step('tests', lambda: self.test(setting))
        return self.report()

    def step(self, name: str, work: Callable[[], None]) -> None:
        """Do a step, and say how long it took."""
        begin = time.monotonic()
        work()
        logger.info('%s: done, %.0f s.', name, time.monotonic() - begin)

    # Data

    @property
    def crops_of_a_square(self) -> int:
        """Number of crops of a square that are scored."""
        crop = self.lq_px * self.scale
        return len(lattice(self.sizes.square_px, crop, crop // MAP_PARTS)) ** 2

    def prepare(self) -> Setting:
        """Cut the squares, look at the network, say how long it will take; write option files.

        Raises:
            DataError: If what is there was made of other photographs, weights or minutes.
        """
        data = self.root / 'data'
        if not data.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            material = read_material(self.photographs, self.root, self.sizes)
            for text in material.left_out:
                logger.warning('left out: %s', text)
            write_material(material, data, self.sizes, DEGRADATIONS)
        self.refuse_other(data / PHOTOGRAPHS, source=self.photographs, reduce=self.reduce)
        squares = sorted((data / SQUARES).iterdir())
        path = self.root / OPTIONS / f'{AMO}.yml'
        if path.exists():
            self.refuse_other(path.with_name(PLANNED), minutes=self.minutes)
            setting = self.setting_of(path)
        else:
            setting = self.plan(squares)
            write_json({'minutes': self.minutes}, path.with_name(PLANNED))
        files = {stage: setting.training(stage) for stage in (AMO, FINETUNE)}
        files |= {
            START: setting.test(START, self.weights),
            IMPROVED: setting.test(IMPROVED, str(self.root / MERGED)),
        }
        for name, content in reversed(files.items()):  # AMO last: with it, all are there
            own = self.root / OPTIONS / f'{name}.yml'
            if not own.exists():
                text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
                write_text_atomically(text, own)
        return setting

    def refuse_other(self, record: Path, **asked: Any) -> None:
        """Refuse what is asked for, if a record says that something else was.

        Raises:
            DataError: If so.
        """
        found = json.loads(record.read_text(encoding='utf-8')) if record.exists() else {}
        for name, value in asked.items():
            if found.get(name, value) != value:
                raise DataError(
                    f'{record}: {name} was {found[name]}, not {value}. Give another folder (-o), '
                    f'or the same; to plan anew for other minutes, remove {self.root / OPTIONS}.'
                )

    def setting_of(self, path: Path) -> Setting:
        """Find the setting in the option file of AMO.

        Raises:
            DataError: If it is of another network.
        """
        content = read_yaml(path)
        if content['path']['pretrain_network_g'] != self.weights:
            raise DataError(
                f'{path}: starts from {content["path"]["pretrain_network_g"]}, not {self.weights}. '
                'Give another folder (-o), or those weights.'
            )
        degradation = content['datasets'][TRAIN]['degradation']
        is_faithful = degradation == DEGRADATIONS[BICUBIC]
        return self.setting(content['train']['total_iter'], is_faithful=is_faithful)

    def setting(self, iterations: int, *, is_faithful: bool) -> Setting:
        """Describe the option files."""
        gt_size = self.lq_px * self.scale
        batch = BATCHES[self.process.device.type]
        sizes = self.scale, gt_size, batch, iterations
        return Setting(self.root, self.weights, *sizes, is_faithful)

    def plan(self, squares: Sequence[Path]) -> Setting:
        """Find out what the network is like and what steps cost, and say what will be done."""
        images = [decode_rgb(path.read_bytes(), str(path)) for path in squares[::7][:5]]
        gain = lr_gain(self.network, self.scale, images)
        is_faithful = gain > 0
        scorers = [LPIPSScorer(), RankerScorer()]
        device = self.process.device
        step = time_step(self.network, self.lq_px, BATCHES[device.type], scorers, device)
        seconds = 60 * self.minutes
        iterations = int(min(max(seconds / 2 / step, LEAST_ITERATIONS), MOST_ITERATIONS)) // 4 * 4
        recipes = dict(enumerate(self.recipes()))
        making = time_each(recipes, images[0]) * len(squares)
        crops = len(squares) * (len(recipes) + 1) * self.crops_of_a_square
        scoring = time_score(scorers[1], self.lq_px * self.scale, device) * crops
        logger.info(
            'x%d; outputs, reduced, are %+.1f dB nearer to inputs than bicubic ones: %s.',
            self.scale,
            gain,
            'trained on bicubic reductions' if is_faithful else 'trained on degraded inputs',
        )
        minutes = [seconds / 60 for seconds in (making, scoring, 2 * iterations * step)]
        logger.info(
            '%d squares with %d candidates each: %.0f min. Scores of %d crops: %.0f min. Two '
            'trainings of %d iterations, %.2f s each: %.0f min. With tests about %.0f min.',
            len(squares),
            len(recipes),
            minutes[0],
            crops,
            minutes[1],
            iterations,
            step,
            minutes[2],
            1.2 * sum(minutes),
        )
        return self.setting(iterations, is_faithful=is_faithful)

    def recipes(self) -> list[Recipe]:
        """Build what makes candidates; the network itself comes first."""
        words = [word for word in self.enhancers if word != self.weights]
        own = [self.weights] if self.scale > 1 else []
        return [recipe.to(self.process.device) for recipe in build_recipes([*own, *words])]

    def make_candidates(self) -> None:
        """Make the candidates of the squares."""
        rules = SelectionRules(most_alike_bits=-1)
        settings = EnhancementSettings(self.recipes(), None, rules)
        source, target = self.root / 'data' / SQUARES, self.root / 'data' / TRAIN
        outcome = make_candidates(str(source), str(target), settings, self.process)
        logger.info('%s', outcome.summary())

    def score(self, setting: Setting) -> None:
        """Score all crops of all candidates."""
        crops = {'crop': setting.gt_size, 'stride': setting.gt_size // MAP_PARTS}
        where = {'out': str(setting.quality_map), 'process': self.process}
        score_map(str(setting.data / TRAIN), RankerScorer(), **crops, **where)

    # Training and tests

    def perform(self, command: str, name: str, product: Path, *folders: Path) -> None:
        """Run a command, unless its product was made by the option file and weights as they are."""
        run_unless_done(command, self.root / OPTIONS / f'{name}.yml', product, folders)

    def train(self, setting: Setting, stage: str) -> None:
        """Train a stage."""
        self.perform('train', stage, setting.weights_of(stage), self.root / 'experiments' / stage)

    def merge(self, setting: Setting) -> None:
        """Write the network, adapters merged: the one that the guard found best."""
        last = setting.weights_of(FINETUNE)
        best = last.with_name('net_g_best.pth')
        source, target = best if best.is_file() else last, self.root / MERGED
        if not target.is_file() or target.stat().st_mtime_ns < source.stat().st_mtime_ns:
            export(source, target)

    def test(self, setting: Setting) -> None:
        """Test the network before and after."""
        for name in (START, IMPROVED):
            folder = self.root / 'results' / name
            self.perform('test', name, folder / 'summary.json', folder)

    def report(self) -> str:
        """Write the page, and say in plain words what came of it."""
        folders = [self.root / 'results' / name for name in (START, IMPROVED)]
        report = write_report(folders, self.root / 'report', baseline=START)
        comparisons = compare_runs([read_result_folder(folder) for folder in folders], START)
        text = f'{verdict_of(comparisons)}\n\n{report.table}\n'
        write_text_atomically(text, self.root / VERDICT)
        return f'{text}\nNetwork: {self.root / MERGED}\nPage: {report.page}\n'


def improve_command(arguments: Sequence[str] | None = None) -> int:
    """Run ``iqasr-improve``; returns the exit code."""
    parser = argparse.ArgumentParser(description='Improve a network on photographs.')
    add = parser.add_argument
    add('-w', '--weights', required=True, help='.pth, .safetensors, or a name')
    add('-i', '--input', required=True, help='folder of photographs, and its sub-folders')
    add('-o', '--output', required=True, type=Path, help='folder for everything')
    add('--minutes', type=float, default=20.0, help='for the two trainings together')
    add('--reduce', type=float, default=2.0, help='factor by which to reduce photographs first')
    add('--enhancers', nargs='+', default=list(ENHANCERS), help='make candidates, too')
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    choices = args.minutes, args.reduce, args.enhancers
    try:
        improvement = Improvement(args.weights, args.input, args.output, *choices)
        sys.stdout.write(improvement.run())
    except REFUSALS as error:
        sys.stderr.write(f'{parser.prog}: {error}\n')
        return exit_code_of(error)
    return 0
