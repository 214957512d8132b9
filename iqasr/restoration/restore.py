"""Restoring many pictures: reading, network and writing at the same time, one bad one no matter."""

import errno
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from iqasr.data.files.picture_writers import (
    format_of,
    is_written_whole,
    refuse_what_is_lost,
    write_picture,
)
from iqasr.data.files.pictures import Picture, read_picture
from iqasr.restoration.jobs import Job
from iqasr.restoration.picture_restorer import PictureRestorer, fill_transparent
from iqasr.restoration.resizing import resize_bands
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError, StorageError
from iqasr.runtime.overlap import ahead

logger = logging.getLogger('iqasr')

AT_A_TIME = 3
"""Pictures in memory: one is read, one restored, one written."""

LARGE_SHARE = 1 / 16
"""A picture that takes more than this of the memory is the only large one at a time."""

REPORT_S = 60.0
"""Seconds between lines of progress, where there is no terminal."""

BAR = '{l_bar}{bar}| {n:.1f} of {total:.1f} megapixels, {remaining} left'


@dataclass
class Tally:
    """What became of the pictures of one network.

    Attributes:
        restored: How many were restored.
        kept: How many were there already.
        megapixels: Of the inputs that were restored.
        left_out: Reason by file.
    """

    restored: int = 0
    kept: int = 0
    megapixels: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, other: 'Tally') -> None:
        """Add what became of other pictures."""
        self.restored += other.restored
        self.kept += other.kept
        self.megapixels += other.megapixels
        self.left_out |= other.left_out

    def summary(self, output: Path, seconds: float) -> str:
        """Put it into a line."""
        line = f'{count_pictures(self.restored)} restored to {output} in {duration(seconds)}'
        if self.megapixels >= 1:  # of less, most of the time goes into the start
            each = seconds / self.megapixels
            line += f' ({self.megapixels:.1f} megapixels of input, {each:.2f} s per megapixel)'
        if self.kept:
            line += f'; {count_pictures(self.kept)} there already'
        if self.left_out:
            line += f'; {len(self.left_out)} left out, each named above with the reason'
        return f'{line}.'


def count_pictures(count: int) -> str:
    """Count pictures in words."""
    return f'{count} picture{"s" * (count != 1)}'


def duration(seconds: float) -> str:
    """Write a time.

    Example:
        >>> duration(7.25), duration(266), duration(3725)
        ('7.2 s', '4:26 min', '1:02:05 h')
    """
    if seconds < 100:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes}:{rest:02} min'
    return f'{minutes // 60}:{minutes % 60:02}:{rest:02} h'


def restore_pictures(
    jobs: Sequence[Job],
    restorer: PictureRestorer,
    *,
    since: float = 0.0,
    process: Process | None = None,
    label: str = 'restoring',
) -> Tally:
    """Restore pictures, but those that are done already; the processes share them.

    Args:
        jobs: The pictures.
        restorer: Restores one.
        since: What was written before this time, as of files, is not done.
        process: This process; default the only one.
        label: What the bar says.

    Returns:
        What became of the pictures of all processes.

    Raises:
        StorageError: If the disk is full.
    """
    process = process or Process()
    todo = [job for job in jobs if not job.is_done(since)]
    process.barrier()  # no process restores before all have looked
    tally = RestorationRun(restorer, todo[process.rank :: process.world_size], process, label).run()
    total = Tally(kept=len(jobs) - len(todo))
    for part in process.gather(tally):
        total.add(part)
    return total


class RestorationRun:
    """Restores the share of one process; see `restore_pictures`."""

    def __init__(
        self, restorer: PictureRestorer, jobs: Sequence[Job], process: Process, label: str
    ) -> None:
        self.restorer, self.jobs = restorer, jobs
        self.stopped, self.large = False, threading.Lock()
        Image.MAX_IMAGE_PIXELS = None  # whoever asks for it trusts the picture
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self.megapixels = dict(zip(jobs, pool.map(count_megapixels, jobs), strict=True))
        self.bar = tqdm(
            desc=label,
            total=sum(self.megapixels.values()),
            bar_format=BAR,
            disable=None if process.is_main else True,
            leave=False,
        )
        self.network = ThreadPoolExecutor(1)
        """The network runs in this thread only; others read and write."""

    def run(self) -> Tally:
        """Restore all pictures."""
        tally, start = Tally(), time.monotonic()
        reported = start
        with self.bar, self.network, ThreadPoolExecutor(AT_A_TIME) as pool:
            try:
                results = ahead(pool, self.try_to_restore, self.jobs, AT_A_TIME)
                for job, problem in zip(self.jobs, results, strict=True):
                    if problem:
                        tally.left_out[str(job.source)] = problem
                        logger.error('%s: left out: %s', job.source, problem)
                    else:
                        tally.restored += 1
                        tally.megapixels += self.megapixels[job]
                    if time.monotonic() - reported > REPORT_S and not sys.stderr.isatty():
                        reported = time.monotonic()
                        self.report(tally, reported - start)
            except BaseException:
                self.stopped = True
                raise
        return tally

    def report(self, tally: Tally, seconds: float) -> None:
        """Log how far the work is."""
        done, total = tally.megapixels, sum(self.megapixels.values())
        if done == total:
            return
        left = duration(seconds * (total - done) / done) if done else 'unknown time'
        logger.info('%s of %s, %s left.', tally.restored, count_pictures(len(self.jobs)), left)

    def try_to_restore(self, job: Job) -> str:
        """Restore a picture; returns why that is impossible, if so.

        Raises:
            StorageError: If the disk is full: then no other picture can be written either.
        """
        try:
            if self.megapixels[job] * 4e6 > self.restorer.budget_bytes * LARGE_SHARE:
                with self.large:
                    self.restore(job)
            else:
                self.restore(job)
        except StorageError as error:
            if getattr(error.__cause__, 'errno', None) == errno.ENOSPC:
                raise
            return str(error.__cause__ or error)
        except (ValueError, OSError, MemoryError) as error:  # whatever Pillow refuses
            return str(error) or type(error).__name__
        return ''

    def restore(self, job: Job) -> None:
        """Read, restore and write a picture."""
        if self.stopped:
            return
        picture = read_picture(job.source)
        shape = picture.enlarged(self.restorer.outscale)
        suffix = format_of(job.target)
        refuse_what_is_lost(suffix, shape)
        if is_written_whole(suffix) and 3 * shape.nbytes > self.restorer.budget_bytes:
            raise DataError(
                f'its output takes {shape.nbytes / 1e9:.1f} GB, which {suffix} needs in memory '
                'several times. Use PNG or TIFF (--format), which are written row by row.'
            )
        fill_transparent(picture)
        bands, restored = self.restored_bands(job, picture), picture.enlarged(self.restorer.scale)
        if restored != shape:
            bands = resize_bands(bands, restored, shape)
        write_picture(job.target, shape, bands)

    def restored_bands(self, job: Job, picture: Picture) -> Iterator[np.ndarray]:
        """Restore a picture band by band, one ahead of what is asked for."""
        try:
            bands = self.network.submit(self.restorer.bands, picture).result()
            share = self.megapixels[job] / len(bands)
            for band in ahead(self.network, self.unless_stopped, bands, 2):
                yield band
                self.bar.update(share)
        except DataError:
            raise
        except Exception as error:  # whatever a network fails with; a full disk comes elsewhere
            raise DataError(f'the network cannot restore it ({error}).') from error

    def unless_stopped(self, band: Callable[[], np.ndarray]) -> np.ndarray:
        """Restore a band."""
        if self.stopped:
            raise DataError('stopped.')
        return band()


def count_megapixels(job: Job) -> float:
    """Read the size of a picture from its header; 0 if it has none."""
    try:
        with Image.open(job.source) as image:
            return image.width * image.height / 1e6
    except Exception:  # reading it will tell
        return 0.0
