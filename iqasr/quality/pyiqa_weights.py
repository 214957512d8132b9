"""The error for weights of pyiqa that are missing: which file, and what to do."""

import traceback

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
    wanted = _variables(error)
    if 'repo_id' in wanted:
        source, place = f'{wanted["repo_id"]}/{wanted.get("filename", "")}', _hugging_face_cache()
        remedy = (
            f'On a machine with network run `hf download {wanted["repo_id"]} '
            f'{wanted.get("filename", "")}` and copy that folder here, or set HF_ENDPOINT to a '
            'mirror that can be reached.'
        )
    else:
        source = wanted.get('url', 'a file that pyiqa does not name')
        place = wanted.get('cached_file') or wanted.get('download_target') or _pyiqa_cache()
        remedy = f'Download it by hand and put it at {place}.'
    is_own = place.startswith(_pyiqa_cache())
    if is_own and weights is None:
        remedy += ' Or give the path of the downloaded file as option `weights`.'
    given = f'the option `weights` ({weights})' if weights else 'the option `weights` (not given)'
    return MissingWeightsError(
        f"pyiqa's metric '{metric}' needs {source}, which is not on this machine and cannot be "
        f'fetched ({error}).\nLooked in {given} and at {place}.\n{remedy}'
    )


def _variables(error: OSError) -> dict[str, str]:
    names = ('url', 'cached_file', 'download_target', 'repo_id', 'filename')
    found: dict[str, str] = {}
    for frame, _ in traceback.walk_tb(error.__traceback__):
        local = frame.f_locals
        found |= {name: local[name] for name in names if isinstance(local.get(name), str)}
    return found


def _pyiqa_cache() -> str:
    from pyiqa.utils.download_util import DEFAULT_CACHE_DIR

    return DEFAULT_CACHE_DIR


def _hugging_face_cache() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    return HF_HUB_CACHE
