"""Candidate ground truths of a folder of photographs, in the layout that `MultiGTDataset` reads."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from iqasr.data.candidates.candidate_folders import ORIGINAL, stems
from iqasr.data.files.image_files import decode_rgb
from iqasr.enhancement.contact_sheet import write_contact_sheet
from iqasr.enhancement.outcome import Outcome
from iqasr.enhancement.patches import choose_patches
from iqasr.enhancement.selection import PhotographMeasures, measure_photograph, select_left_out
from iqasr.enhancement.settings import EnhancementSettings
from iqasr.enhancement.shared_work import read_results, share_out
from iqasr.runtime.atomic_files import write_bytes_atomically, write_json
from iqasr.runtime.crops import cut_square
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')

RECORD, OUTCOME, SHEET = 'enhancement.json', 'sources.csv', 'contact_sheet.png'
EXAMINED, ENHANCED = '.examined.jsonl', '.enhanced.jsonl'

PNG_COMPRESSION = 3
"""Files are a little larger than by default, and written in half the time."""

WRITERS = 4


def make_candidates(
    source: str, target: str, settings: EnhancementSettings, process: Process | None = None
) -> Outcome:
    """Make the candidates of all photographs of a folder that have none yet.

    The run may be killed and started again, also with another number of processes; the files are
    the same. A photograph is done when all its files exist: each image is first written under
    another name, and the original last. Candidates of photographs that were removed since, or are
    now left out, are removed.

    Args:
        source: Folder of photographs; not changed.
        target: Folder that receives ``original``, ``01``, ``02``, ...; the settings
            (``enhancement.json``); the outcome for each photograph (``sources.csv``); and
            ``contact_sheet.png``.
        settings: The settings.
        process: This process among those that share the work; default the only one.

    Returns:
        The outcome, in every process. It names the photographs that cannot be read.

    Raises:
        DataError: If there are no photographs, two have the same name, one has changed since its
            candidates were made, or the candidates in `target` were made by other settings.
        CheckpointError: If a file cannot be written.
    """
    process = process or Process()
    outcome = CandidateMaker(source, Path(target), settings, process).run()
    process.barrier()
    return outcome


class CandidateMaker:
    """Makes the candidates of one folder; see `make_candidates`."""

    def __init__(
        self, source: str, target: Path, settings: EnhancementSettings, process: Process
    ) -> None:
        if not os.path.isdir(source):
            raise DataError(f'{source}: there is no such folder of photographs.')
        problems: list[str] = []
        files = stems(source, problems)
        if problems:
            raise DataError(problems)
        self.files = {name: Path(source, file) for name, file in sorted(files.items())}
        self.source, self.target, self.settings, self.process = source, target, settings, process
        self.recipes = dict(zip(settings.folders, settings.recipes, strict=True))
        self.seconds = dict.fromkeys(settings.folders, 0.0)
        self.pixels = 0

    def run(self) -> Outcome:
        """Do all unfinished work."""
        self.prepare()
        measures, unreadable = self.measure()
        left_out = select_left_out(measures, self.settings.selection_with_size)
        kept = [name for name in measures if name not in left_out]
        enhanced = self.enhance(kept)
        if self.process.is_main:
            self.remove(enhanced[name] for name in enhanced.keys() - set(kept))
        groups = {name: enhanced[name]['groups'] for name in kept}
        outcome = Outcome(measures, unreadable, left_out, groups)
        if self.process.is_main:
            outcome.write(self.target / OUTCOME)
            self.write_sheet([group for name in kept for group in groups[name]])
        self.log_speed()
        return outcome

    def prepare(self) -> None:
        """Make the folders, and move enhancers and scorer to the device.

        Raises:
            DataError: If the folder holds other candidates.
        """
        record = self.target / RECORD
        self.settings.check_record(record)
        self.process.barrier()
        if self.process.is_main:
            write_json(self.settings.description(), record)
        self.process.barrier()  # no folder without its record
        earlier = read_results(self.target / ENHANCED)
        if earlier and not earlier.keys() & self.files.keys():  # or all of its candidates would go
            raise DataError(
                f'{self.source}: holds none of the photographs that the candidates in '
                f'{self.target} were made of. Name their folder, or another one for the candidates.'
            )
        for folder in (ORIGINAL, *self.recipes):
            (self.target / folder).mkdir(exist_ok=True)
        for part in (*self.recipes.values(), self.settings.scorer):
            if part is not None:
                part.to(self.process.device)

    def measure(self) -> tuple[dict[str, PhotographMeasures], dict[str, str]]:
        """Measure all photographs.

        Returns:
            Measures by name, and the errors of photographs that cannot be read.
        """

        def measure_one(name: str) -> dict[str, Any]:
            try:
                photograph = self.read(name)
            except ValueError as error:
                return {'unreadable': str(error)}
            path, scorer = str(self.files[name]), self.settings.scorer
            return asdict(measure_photograph(photograph, path, scorer, self.process.device))

        results = self.share(EXAMINED, list(self.files), measure_one, 'examining')
        measures, unreadable = {}, {}
        for name in self.files:
            result = {key: value for key, value in results[name].items() if key != 'state'}
            if 'unreadable' in result:
                unreadable[name] = result['unreadable']
            else:
                measures[name] = PhotographMeasures(**result)
        return measures, unreadable

    def enhance(self, names: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        """Make the candidates of photographs; returns their ``groups`` by name."""

        def enhance_one(name: str) -> dict[str, Any]:
            versions = {ORIGINAL: self.read(name)}
            for folder, recipe in self.recipes.items():
                start = time.perf_counter()
                versions[folder] = recipe(versions[ORIGINAL])
                self.seconds[folder] += time.perf_counter() - start
            self.pixels += versions[ORIGINAL].size // 3
            return {'groups': self.write_groups(name, versions)}

        return self.share(ENHANCED, names, enhance_one, 'enhancing')

    def share(
        self, file: str, names: Sequence[str], work: Callable[[str], dict[str, Any]], title: str
    ) -> Mapping[str, dict[str, Any]]:
        """Do the unfinished work; see `share_out`."""
        files = {name: self.files[name] for name in names}
        return share_out(self.target / file, files, work, self.is_current, self.process, title)

    def is_current(self, name: str, result: dict[str, Any], state: list[int]) -> bool:
        """Whether an earlier result of a photograph is still valid.

        Raises:
            DataError: If the photograph has candidates and has changed since.
        """
        is_same = result['state'] == state
        if 'groups' not in result:
            return is_same and 'unreadable' not in result
        files = [file.exists() for group in result['groups'] for file in self.files_of(group)]
        if any(files) and not is_same:
            raise DataError(
                f'{self.files[name]}: has changed since its candidates in {self.target} were made. '
                'Give another folder.'
            )
        return is_same and all(files)

    def remove(self, results: Iterable[Mapping[str, Any]]) -> None:
        """Remove the candidates of photographs that were left out, or removed, after a former run.

        Their results stay: who brings the photographs back gets the same candidates.
        """
        files = [file for result in results for g in result['groups'] for file in self.files_of(g)]
        files = [file for file in files if file.exists()]
        for file in files:
            file.unlink()
        if files:
            logger.warning(
                '%d files in %s are removed: their photographs are not taken any more.',
                len(files),
                self.target,
            )

    def read(self, name: str) -> np.ndarray:
        """Read a photograph, ``(H, W, 3)`` uint8 RGB."""
        return decode_rgb(self.files[name].read_bytes(), str(self.files[name]))

    def files_of(self, group: str) -> list[Path]:
        """Name the files of a group, the original first."""
        candidates = [self.target / f / f'{group}_{f}.png' for f in self.recipes]
        return [self.target / ORIGINAL / f'{group}.png', *candidates]

    def write_groups(self, name: str, versions: Mapping[str, np.ndarray]) -> list[str]:
        """Write a photograph and its candidates, whole or in patches; returns their groups."""
        images, rules = list(versions.values()), self.settings.patches
        if rules is None:
            groups = {name: images}
        else:
            generator = generator_at(self.settings.seed, 'patches', name)
            groups = {
                f'{name}-{top}-{left}': [cut_square(i, (top, left), rules.size_px) for i in images]
                for top, left in choose_patches(images, rules, generator)
            }
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self.write_group, groups, groups.values()))
        return list(groups)

    def write_group(self, group: str, images: Sequence[np.ndarray]) -> None:
        """Write the images of a group. The original comes last: without it, none of them counts."""
        for file, image in reversed(list(zip(self.files_of(group), images, strict=True))):
            bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            png = cv2.imencode('.png', bgr, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])[1]
            write_bytes_atomically(png.tobytes(), file)

    def write_sheet(self, groups: Sequence[str]) -> None:
        """Write the contact sheet, if there are groups."""
        labels = [ORIGINAL, *(f'{folder} {recipe.name}' for folder, recipe in self.recipes.items())]
        if groups:
            write_contact_sheet(self.target / SHEET, [self.files_of(g) for g in groups], labels)

    def log_speed(self) -> None:
        """Log the time of each recipe per megapixel, over all processes."""
        everyone = self.process.gather((self.seconds, self.pixels))
        megapixels = sum(pixels for _, pixels in everyone) / 1e6
        if not self.process.is_main or not megapixels:
            return
        for folder, recipe in self.recipes.items():
            seconds = sum(seconds[folder] for seconds, _ in everyone)
            logger.info(
                '%s %s: %.2f s per megapixel (%.1f megapixels).',
                folder,
                recipe.name,
                seconds / megapixels,
                megapixels,
            )
