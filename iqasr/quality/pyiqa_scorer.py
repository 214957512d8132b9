"""Any metric of pyiqa as a scorer.

Source:
    https://github.com/chaofengc/IQA-PyTorch, read at version 0.1.16. Its code and weights are
    licensed for non-commercial use; it is imported only when such a scorer is built.
"""

import contextlib
import fnmatch
import io
import logging
import math
import pickle
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.compat import tensors_only
from iqasr.pretrained import locate_weights
from iqasr.pretrained.sources import sha256_of
from iqasr.quality.base import QualityScorer
from iqasr.quality.musiq import FastMUSIQ
from iqasr.quality.pyiqa_weights import missing_weights, offline_where_there_is_no_network
from iqasr.registry import SCORER_REGISTRY, nearest

NO_GRADIENT = (
    'niqe*', 'ilniqe', 'brisque*', 'piqe', 'nrqm', 'pi', 'entropy', 'qalign*', 'qrealign*',
    'compare2score', 'afine*', 'maclip', 'topiq_nr*-face*', 'clipscore', '*fid*', 'inception_score',
)  # fmt: skip
"""Metrics that round, work on PIL images or switch gradients off."""

FASTER = {'MUSIQ': FastMUSIQ}
"""By class of a network of pyiqa: a faster computation of its scores."""

MIN_SIZE = {'niqe*': 192, 'ilniqe': 192, 'unique': 128, 'dbcnn': 64, 'liqe*': 224, 'maclip': 224}
"""Least height and width in pixels, where more than 32."""

NETWORK_LOCK = threading.Lock()
"""Networks of pyiqa keep hooks and caches, so only one thread at a time may run one."""


@SCORER_REGISTRY.register()
class PyIQAScorer(QualityScorer):
    """A metric of pyiqa: higher is better, frozen, with gradients only where they are required.

    Its network is not part of the module tree: never in a state dict, in ``train()`` or in DDP. It
    moves to the device of the images.

    Args:
        metric: Name of the metric in pyiqa, such as ``musiq``.
        weights: Weight file of the metric itself (a backbone may need more), or its name in
            ``iqasr-weights list``; None to use pyiqa's folder, ``<torch hub>/pyiqa``, or to
            download.
        options: Arguments of the metric in pyiqa; ``pretrained: false`` gives metrics that
            support it random weights, always the same.

    Raises:
        ValueError: If the metric or an option is unknown, or the weights do not fit.
        FileNotFoundError: If `weights` does not exist.
        MissingWeightsError: If weights are not on this machine and cannot be fetched.
        ImportError: If pyiqa is not installed.
    """

    def __init__(
        self, metric: str, weights: str | None = None, options: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        pyiqa = import_pyiqa()
        if metric not in pyiqa.list_models():
            raise ValueError(
                f"pyiqa has no metric '{metric}'.{nearest(metric, pyiqa.list_models())} "
                '`pyiqa.list_models()` lists all.'
            )
        arguments = dict(options or {})
        if arguments.get('pretrained') is False:
            arguments['pretrained'] = None  # some metrics know only this spelling, all know it
        if weights is not None:
            weights = str(locate_weights(weights))
            check_weights(metric, weights)
            arguments['pretrained_model_path'] = weights
        created = create_metric(pyiqa, metric, arguments)
        # Past nn.Module, which would make it part of the module tree.
        network = created.net.requires_grad_(False)
        faster = FASTER.get(type(network).__name__)
        object.__setattr__(self, '_network', network)
        object.__setattr__(self, '_compute', faster(network) if faster else network)
        self._device = torch.device('cpu')
        self.name = metric
        used = [f'{name}={value}' for name, value in sorted((options or {}).items())]
        if weights is not None:
            used.append(f'weights={Path(weights).name} {sha256_of(Path(weights))[:8]}')
        self.version = ' '.join([f'pyiqa-{pyiqa.__version__}', *used])
        self.needs_reference = created.metric_mode == 'FR'
        self.lower_better = created.lower_better
        low, high = parse_range(created.score_range)
        self.score_range = (0.0 - high, 0.0 - low) if self.lower_better else (low, high)
        sizes = [size for names, size in MIN_SIZE.items() if fnmatch.fnmatch(metric, names)]
        self.min_size = max([32, *sizes])
        self.differentiable = has_gradient(metric)

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        # The network itself: pyiqa's wrapper sets the gradient mode and slows cuDNN down.
        if image.device != self._device:
            self._network.to(image.device)
            self._device = image.device
        with NETWORK_LOCK:
            score = self._compute(*(x for x in (image, reference) if x is not None))
        return score[0] if isinstance(score, tuple) else score


def has_gradient(metric: str) -> bool:
    """Tell whether the quality by a metric of pyiqa has a gradient."""
    return not any(fnmatch.fnmatch(metric, names) for names in NO_GRADIENT)


def import_pyiqa() -> ModuleType:
    """Import pyiqa.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import pyiqa
    except ImportError as error:
        raise ImportError(
            f'pyiqa cannot be imported ({error}). Install it with `pip install pyiqa` (code and '
            'weights are for non-commercial use), or choose a scorer that does not need it.'
        ) from error
    return pyiqa


def check_weights(metric: str, weights: str) -> None:
    """Check that a weight file exists and holds tensors only; pyiqa would run code in it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else than tensors and numbers.
    """
    if not Path(weights).is_file():
        raise FileNotFoundError(f'{metric}: weights: {weights} does not exist.')
    if Path(weights).suffix in ('.mat', '.npz'):
        return
    try:
        torch.load(weights, map_location='cpu', weights_only=True)
    except Exception as error:
        reason = str(error).split('\n')[0][:200]
        raise ValueError(
            f'{metric}: weights: {weights} cannot be read safely ({reason}). It is damaged, or '
            'holds more than tensors; use the file that pyiqa publishes.'
        ) from error


def create_metric(pyiqa: ModuleType, metric: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Create a metric on the CPU, quietly, and without touching the global generator.

    Raises:
        MissingWeightsError: If weights cannot be found or fetched.
        ValueError: If the metric does not take the arguments, or the weights do not fit it.
    """
    try:
        # Without gradients, as LIQE keeps tensors computed here, with their graph, for later calls.
        with silence_pyiqa(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(0)
            with tensors_only(), offline_where_there_is_no_network():
                return pyiqa.create_metric(metric, device='cpu', **arguments)
    except OSError as error:
        raise missing_weights(metric, arguments.get('pretrained_model_path'), error) from error
    except (RuntimeError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        given = ', '.join(f'{name}={value}' for name, value in arguments.items())
        raise ValueError(
            f"pyiqa's metric '{metric}' cannot be made with {given or 'no options'} "
            f'({type(error).__name__}: {str(error)[:500]}). The option `weights` is passed as '
            'pretrained_model_path.'
        ) from error


@contextlib.contextmanager
def silence_pyiqa() -> Iterator[None]:
    """Suppress the output and the log of pyiqa while it builds a metric."""
    from pyiqa.utils import get_root_logger

    get_root_logger().setLevel(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def parse_range(text: str | None) -> tuple[float, float]:
    """Parse pyiqa's description of a score range.

    Returns:
        Lowest and highest published score; infinite where pyiqa does not say.

    Example:
        >>> parse_range('~0, ~100'), parse_range('0, ~')
        ((0.0, 100.0), (0.0, inf))
    """
    ends = (text or '').replace('~', '').split(',')
    if len(ends) != 2:
        return -math.inf, math.inf
    low, high = (end.strip() for end in ends)
    return float(low or -math.inf), float(high or math.inf)
