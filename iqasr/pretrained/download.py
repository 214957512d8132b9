"""Download files over HTTP, resumed where an earlier attempt ended."""

import http.client
import logging
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

logger = logging.getLogger('iqasr')

ATTEMPTS = 3
TIMEOUT_S = 30
BLOCK = 1 << 18


def download(url: str, path: Path) -> None:
    """Download a file.

    What arrives is kept in ``<path>.part`` and resumed by a range request, at once and by the next
    call. The bar on stderr is shown in a terminal only.

    Args:
        url: Where the file is.
        path: Where to put it; its folder exists.

    Raises:
        OSError: If it cannot be had, or there is no space for it.
    """
    part = path.with_name(f'{path.name}.part')
    for attempt in range(1, ATTEMPTS + 1):
        try:
            receive(url, part)
            break
        except urllib.error.HTTPError as error:
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise OSError(f'{url}: {error}') from error
            part.unlink(missing_ok=True)
            failure = error
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            failure = error
        if attempt == ATTEMPTS:
            raise OSError(f'{url}: {failure}') from failure
        logger.warning('%s: %s; trying again.', url, failure)
    part.replace(path)


def receive(url: str, part: Path) -> None:
    """Receive a file, or the rest of it.

    Raises:
        OSError: If the server or the connection fails, or there is no space; what has arrived
            stays.
    """
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        start = start if resumed else 0
        length = response.headers.get('Content-Length')
        total = start + int(length) if length else None
        require_space(part.parent, (total or 0) - start)
        with (
            part.open('ab' if resumed else 'wb') as file,
            tqdm(
                desc=part.stem, total=total, initial=start, unit='B', unit_scale=True, disable=None
            ) as bar,
        ):
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
            received = file.tell()
    if total is not None and received < total:
        raise ConnectionError(f'cut off after {received} of {total} bytes')


def require_space(folder: Path, size: int) -> None:
    """Check that a folder has space.

    Raises:
        OSError: If not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(
            f'{folder}: {size / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB free. Free some '
            'space, or name another folder in IQASR_CACHE.'
        )
