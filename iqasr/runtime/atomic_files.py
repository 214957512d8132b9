"""Files that are never half there: written beside their place, flushed, then renamed."""

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import save
from torch import Tensor

from iqasr.runtime.errors import StorageError


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file so that `path` holds either its old content or, at the end, all of the new one.

    Raises:
        StorageError: If it cannot be written (a full disk); what was there before stays.
    """
    temporary = path.with_name(f'.{path.name}.partial')
    try:
        with temporary.open('wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if not (isinstance(error, OSError) or is_of_torch_writer(error)):
            raise
        forbidden = getattr(error, 'errno', None) in {errno.EACCES, errno.EPERM, errno.EROFS}
        advice = f'Nothing may be written to {path.parent}' if forbidden else 'Free some space'
        raise StorageError(
            f'{path}: cannot be saved ({error}). {advice}; what was there before is untouched, '
            'and a training goes on with --auto_resume.'
        ) from error


def is_of_torch_writer(error: BaseException) -> bool:
    """Tell whether an error is torch's for a file that does not take what it writes."""
    signs = ('PytorchStreamWriter', 'unexpected pos')
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def save_atomically(content: Any, path: Path) -> None:
    """Save by torch; see `open_atomically`."""
    with open_atomically(path) as file:
        torch.save(content, file)


def save_safetensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Save tensors, one of several names under each of them; see `open_atomically`."""
    own = {k: v.cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
    write_bytes_atomically(save(own, metadata), path)


def write_bytes_atomically(content: bytes, path: Path) -> None:
    """Write bytes; see `open_atomically`."""
    with open_atomically(path) as file:
        file.write(content)


def write_text_atomically(text: str, path: Path) -> None:
    """Write text, in a folder that is made if need be; see `open_atomically`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(text.encode(), path)


def write_json(content: Any, path: Path) -> None:
    """Write readable JSON, as `write_text_atomically`."""
    write_text_atomically(json.dumps(content, indent=2, ensure_ascii=False) + '\n', path)


def read_record(path: Path, take: Callable[[Any], None]) -> None:
    """Read what `write_json` wrote of a run.

    Args:
        path: The file.
        take: Receives its content.

    Raises:
        StorageError: If it cannot be read, or holds something else than expected.
    """
    try:
        take(json.loads(path.read_text(encoding='utf-8')))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(
            f'{path}: cannot be read ({error!r}). Put back a copy; or remove it, and its record '
            'begins anew.'
        ) from error


def write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows by column as CSV, as `write_text_atomically`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(text.getvalue(), path)


def copy_atomically(source: Path, path: Path) -> None:
    """Copy a file; see `open_atomically`."""
    with open_atomically(path) as file, source.open('rb') as content:
        shutil.copyfileobj(content, file)
