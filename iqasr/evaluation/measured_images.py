"""What a test has measured so far, on disk, so that it goes on where it was stopped."""

import json
import logging
from pathlib import Path
from typing import Any

from iqasr.runtime.atomic_files import write_json

logger = logging.getLogger('iqasr')


class MeasuredImages:
    """The images of one test set that are measured, a small file each.

    Args:
        folder: Folder of the set, which all processes share; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self) -> dict[int, tuple[dict[str, Any], dict[str, str]]]:
        """Read what is there: by place in the set, the row of an image and its files."""
        if self.folder is None:
            return {}
        paths = self.folder.glob('[0-9]*.json')
        found = {int(path.stem): tuple(json.loads(path.read_bytes())) for path in paths}
        if found:
            logger.info('%s: %d images are measured already.', self.folder.name, len(found))
        return found

    def add(self, index: int, row: dict[str, Any], files: dict[str, str]) -> None:
        """Keep the row of an image and its files.

        Raises:
            StorageError: If the disk is full.
        """
        if self.folder is not None:
            write_json((row, files), self.folder / f'{index}.json')
