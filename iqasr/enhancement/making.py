"""Make candidate ground truths of a folder of photographs, as `MultiGTDataset` reads them."""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from iqasr.data.candidates.candidate_folders import ORIGINAL, stems
from iqasr.data.files.image_files import decode_rgb
from iqasr.enhancement.account import Account
from iqasr.enhancement.contact_sheet import write_contact_sheet
from iqasr.enhancement.ledger import Entry, Ledger
from iqasr.enhancement.patches import choose_patches, cut
from iqasr.enhancement.settings import Settings
from iqasr.enhancement.sources import Examination, examine, left_out
from iqasr.runtime.atomic_files import write_bytes_atomically, write_json
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')

RECORD, ACCOUNT, SHEET = 'enhancement.json', 'sources.csv', 'contact_sheet.png'
EXAMINED, ENHANCED = '.examined.jsonl', '.enhanced.jsonl'

PNG_COMPRESSION = 3
"""A little larger than by default, in half the time."""

WRITERS = 4


def make_candidates(
    source: str, target: str, settings: Settings, process: Process | None = None
) -> Account:
    """Make the candidates of all photographs of a folder, or of those that have none yet.

    May be killed at any time and started again, with another number of processes too: the files are
    the same. A photograph counts as done when all its files are there; images are written under
    another name first, the original last.

    Args:
        source: Folder of photographs; left as it is.
        target: Folder that receives ``original``, ``01``, ``02``, ...; how they were made
            (``enhancement.json``); what came of each photograph (``sources.csv``); and
            ``contact_sheet.png``.
        settings: How.
        process: This process among those that share the work; default the only one.

    Returns:
        What came of the photographs, in every process. Those that cannot be read are named in it.

    Raises:
        DataError: If there are no photographs, two of one name, or one that has changed since its
            candidates were made; or if those in `target` were made in another way.
        CheckpointError: If a file cannot be written.
    """
    process = process or Process()
    making = Making(source, Path(target), settings, process)
    account = making.run()
    process.barrier()
    return account


class Making:
    """The work on one folder; see `make_candidates`."""

    def __init__(self, source: str, target: Path, settings: Settings, process: Process) -> None:
        if not os.path.isdir(source):
            raise DataError(f'{source}: there is no such folder of photographs.')
        problems: list[str] = []
        files = stems(source, problems)
        if problems:
            raise DataError(problems)
        self.files = {name: Path(source, file) for name, file in sorted(files.items())}
        self.target, self.settings, self.process = target, settings, process
        self.seconds = dict.fromkeys(settings.folders, 0.0)
        self.pixels = 0

    def run(self) -> Account:
        """Do what is left to do."""
        self.prepare()
        examined, unreadable = self.examine()
        excluded = left_out(examined, self.settings.source_rules)
        kept = [name for name in examined if name not in excluded]
        enhanced = self.enhance(kept)
        groups = {name: enhanced[name]['groups'] for name in kept}
        account = Account(examined, unreadable, excluded, groups)
        if self.process.is_main:
            account.write_csv(self.target / ACCOUNT)
            self.show([group for name in kept for group in groups[name]])
        self.report_speed()
        return account

    def prepare(self) -> None:
        """Make the folders, and move what works there to the device."""
        record = self.target / RECORD
        self.settings.refuse_others(record)
        self.process.barrier()
        if self.process.is_main:
            write_json(self.settings.description(), record)
        self.process.barrier()  # no folder without its record
        for folder in (ORIGINAL, *self.settings.folders):
            (self.target / folder).mkdir(exist_ok=True)
        for part in (*self.settings.recipes, self.settings.scorer):
            if part is not None:
                part.to(self.process.device)

    def examine(self) -> tuple[dict[str, Examination], dict[str, str]]:
        """Examine all photographs.

        Returns:
            What was found, by name; and what is wrong with those that cannot be read.
        """

        def examined(name: str) -> Entry:
            try:
                photograph = self.read(name)
            except ValueError as error:
                return {'unreadable': str(error)}
            path, scorer = str(self.files[name]), self.settings.scorer
            return asdict(examine(photograph, path, scorer, self.process.device))

        entries = self.share_out(EXAMINED, list(self.files), examined, 'examining')
        found, unreadable = {}, {}
        for name in self.files:
            entry = {key: value for key, value in entries[name].items() if key != 'state'}
            if 'unreadable' in entry:
                unreadable[name] = entry['unreadable']
            else:
                found[name] = Examination(**entry)
        return found, unreadable

    def enhance(self, names: Sequence[str]) -> Mapping[str, Entry]:
        """Make the candidates of photographs; returns their groups by name."""

        def enhanced(name: str) -> Entry:
            versions = {ORIGINAL: self.read(name)}
            for folder, recipe in zip(self.settings.folders, self.settings.recipes, strict=True):
                start = time.perf_counter()
                versions[folder] = recipe(versions[ORIGINAL])
                self.seconds[folder] += time.perf_counter() - start
            self.pixels += versions[ORIGINAL].size // 3
            return {'groups': self.write_groups(name, versions)}

        return self.share_out(ENHANCED, names, enhanced, 'enhancing')

    def share_out(
        self, ledger_name: str, names: Sequence[str], work: Callable[[str], Entry], title: str
    ) -> Mapping[str, Entry]:
        """Do this process's share of what is left; returns what all have done, by name."""
        ledger = Ledger(self.target / ledger_name, self.process)
        states = {name: state_of(self.files[name]) for name in names}
        mine = names[self.process.rank :: self.process.world_size]
        for name in tqdm(mine, title, unit='photograph', disable=not self.process.is_main):
            known = ledger.entries.get(name)
            if known is None or not self.still_holds(name, known, states[name]):
                ledger.add(name, work(name) | {'state': states[name]})
        entries = ledger.share()
        ledger.close()
        return entries

    def still_holds(self, name: str, entry: Entry, state: list[int]) -> bool:
        """Tell whether what a ledger says of a photograph is still so.

        Raises:
            DataError: If there are candidates, of what the photograph was before.
        """
        if 'groups' not in entry:
            return entry['state'] == state and 'unreadable' not in entry
        if entry['state'] != state:
            raise DataError(
                f'{self.files[name]}: has changed since its candidates in {self.target} were made. '
                'Give another folder.'
            )
        return all(file.exists() for group in entry['groups'] for file in self.files_of(group))

    def read(self, name: str) -> np.ndarray:
        """Read a photograph, ``(H, W, 3)`` uint8 RGB."""
        return decode_rgb(self.files[name].read_bytes(), str(self.files[name]))

    def files_of(self, group: str) -> list[Path]:
        """Name the files of a group, the original first."""
        candidates = [self.target / f / f'{group}_{f}.png' for f in self.settings.folders]
        return [self.target / ORIGINAL / f'{group}.png', *candidates]

    def write_groups(self, name: str, versions: Mapping[str, np.ndarray]) -> list[str]:
        """Write a photograph and its candidates, whole or in patches; returns their groups."""
        images, rules = list(versions.values()), self.settings.patches
        if rules is None:
            groups = {name: images}
        else:
            generator = generator_at(self.settings.seed, 'patches', name)
            groups = {
                f'{name}-{top}-{left}': [cut(i, (top, left), rules.size_px) for i in images]
                for top, left in choose_patches(images, rules, generator)
            }
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self.write_group, groups, groups.values()))
        return list(groups)

    def write_group(self, group: str, images: Sequence[np.ndarray]) -> None:
        """Write the images of a group, the original last: without it, none of them counts."""
        for file, image in reversed(list(zip(self.files_of(group), images, strict=True))):
            bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            png = cv2.imencode('.png', bgr, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])[1]
            write_bytes_atomically(png.tobytes(), file)

    def show(self, groups: Sequence[str]) -> None:
        """Write the contact sheet."""
        pairs = zip(self.settings.folders, self.settings.recipes, strict=True)
        labels = [ORIGINAL, *(f'{folder} {recipe.name}' for folder, recipe in pairs)]
        if groups:
            write_contact_sheet(self.target / SHEET, [self.files_of(g) for g in groups], labels)

    def report_speed(self) -> None:
        """Log the time of each candidate per megapixel that any process worked on."""
        everyone = self.process.gather((self.seconds, self.pixels))
        megapixels = sum(pixels for _, pixels in everyone) / 1e6
        if not self.process.is_main or not megapixels:
            return
        for folder, recipe in zip(self.settings.folders, self.settings.recipes, strict=True):
            seconds = sum(seconds[folder] for seconds, _ in everyone)
            logger.info(
                '%s %s: %.2f s per megapixel (%.1f megapixels).',
                folder,
                recipe.name,
                seconds / megapixels,
                megapixels,
            )


def state_of(file: Path) -> list[int]:
    """Size and modification time of a file: whether it is the same as before."""
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]
