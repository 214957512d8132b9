"""Weights of pyiqa that are missing: which file, and what to do; without long waits for it."""

import functools
import socket
import traceback
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from urllib.parse import urlsplit

from iqasr.pretrained import entry_at
from iqasr.runtime.errors import MissingWeightsError

PATIENCE_S = 5.0
"""Time in which a host has to answer."""


@contextmanager
def offline_where_there_is_no_network() -> Iterator[None]:
    """Let huggingface_hub look for files on this machine only, where its host does not answer.

    It would ask five times for every file, half a minute each.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not is_reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@functools.cache
def is_reachable(url: str) -> bool:
    """Tell whether the host of an address answers; asked once. A proxy is trusted to reach it."""
    parts = urlsplit(url)
    if {parts.scheme, 'all'} & urllib.request.getproxies().keys():
        return True
    port = parts.port or {'http': 80}.get(parts.scheme, 443)
    try:
        socket.create_connection((parts.hostname or '', port), timeout=PATIENCE_S).close()
    except OSError:
        return False
    return True


def missing_weights(metric: str, weights: str | None, error: OSError) -> MissingWeightsError:
    """Explain a failed download.

    Args:
        metric: The metric that was being created.
        weights: The weight file that was given for it.
        error: The error of the download. Metrics fetch up to three files (their own weights, an
            ImageNet backbone, CLIP) in as many ways, so its traceback tells which one failed.

    Returns:
        The error to raise: which file is wanted, where it was looked for, what to do.
    """
    from huggingface_hub.constants import HF_HUB_CACHE
    from pyiqa.utils.download_util import DEFAULT_CACHE_DIR

    wanted = strings_in(error.__traceback__)
    if 'repo_id' in wanted:
        file, place = f'{wanted["repo_id"]} {wanted.get("filename", "")}', HF_HUB_CACHE
        source = file.replace(' ', '/')
        remedy = (
            f'On a machine with network run `hf download {file}` and copy that folder here, or set '
            'HF_ENDPOINT to a mirror that can be reached.'
        )
    else:
        source = wanted.get('url', 'a file that pyiqa does not name')
        place = wanted.get('cached_file') or wanted.get('download_target') or DEFAULT_CACHE_DIR
        remedy = f'Download it by hand and put it at {place}.'
        if entry := entry_at(place):
            remedy = f'`iqasr-weights get {entry.name}` may find it elsewhere. {remedy}'
    if place.startswith(DEFAULT_CACHE_DIR) and weights is None:
        remedy += ' Or give the path of the downloaded file as option `weights`.'
    given = f'the option `weights` ({weights})' if weights else 'the option `weights` (not given)'
    return MissingWeightsError(
        f"pyiqa's metric '{metric}' needs {source}, which is not on this machine and cannot be "
        f'fetched ({error}).\nLooked in {given} and at {place}.\n{remedy}'
    )


def strings_in(trace: TracebackType | None) -> dict[str, str]:
    """Collect the local variables of a failed call that are text, by name."""
    return {
        name: value
        for frame, _ in traceback.walk_tb(trace)
        for name, value in frame.f_locals.items()
        if isinstance(value, str)
    }
