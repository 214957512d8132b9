"""The error for weights of pyiqa that are missing: which file, and what to do."""

import traceback
from types import TracebackType

from iqasr.pretrained import entry_at
from iqasr.runtime.errors import MissingWeightsError


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
