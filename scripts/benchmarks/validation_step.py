"""Time and memory of a validation: that of BasicSR, and that of iqasr, on the same files."""

import re
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch
from tqdm import tqdm

import iqasr  # noqa: F401  (lets basicsr be imported with any torchvision)

SCALE = 4
NETWORK = {'type': 'SRVGGNetCompact', 'num_feat': 16, 'num_conv': 2, 'upscale': SCALE}
METRICS = {
    name: {'type': f'calculate_{name}', 'crop_border': SCALE} for name in ('psnr', 'ssim', 'niqe')
}

Validation = Callable[[], dict[str, float]]
"""Validates a folder; returns the means of the metrics."""


def write_images(folder: Path, count: int, side: int) -> None:
    """Write pieces of photographs that come with scikit-image, and their reductions."""
    sources = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    for kind in ('gt', 'lq'):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        source = sources[number % len(sources)]
        rows, columns = (min(length, side) for length in source.shape[:2])
        shift = number // len(sources)
        piece = np.roll(source, (7 * shift, 11 * shift), axis=(0, 1))[:rows, :columns, ::-1]
        piece = np.ascontiguousarray(piece)
        gt = cv2.copyMakeBorder(piece, 0, side - rows, 0, side - columns, cv2.BORDER_REFLECT)
        lq = cv2.resize(gt, (side // SCALE, side // SCALE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / 'gt' / f'{number:03d}.png'), gt)
        cv2.imwrite(str(folder / 'lq' / f'{number:03d}.png'), lq)


def data_options(folder: Path) -> dict[str, Any]:
    """Name the images in an option file."""
    roots = {f'dataroot_{kind}': str(folder / kind) for kind in ('gt', 'lq')}
    return {'name': 'set', 'type': 'PairedImageDataset'} | roots


def stock_validation(folder: Path) -> Validation:
    """Prepare that of BasicSR: ``SRModel.nondist_validation``, with the loader made for it."""
    from basicsr.data import build_dataloader, build_dataset
    from basicsr.models.sr_model import SRModel

    backend = {'phase': 'val', 'scale': SCALE, 'io_backend': {'type': 'disk'}}
    section = data_options(folder) | backend
    loader = build_dataloader(build_dataset(section), section, num_gpu=0)
    torch.manual_seed(0)
    model = SRModel(
        {
            'num_gpu': int(torch.cuda.is_available()),
            'dist': False,
            'is_train': False,
            'network_g': dict(NETWORK),
            'path': {},
            'val': {'metrics': METRICS, 'pbar': False},
        }
    )

    def validate() -> dict[str, float]:
        loader.dataset.file_client = None
        loader.dataset.io_backend_opt = {'type': 'disk'}
        model.nondist_validation(loader, 0, None, save_img=False)
        return dict(model.metric_results)

    return validate


def own_validation(folder: Path) -> Validation:
    """Prepare that of iqasr, as the test command makes it."""
    from iqasr.models import RestorationModel
    from iqasr.options.sections import Options
    from iqasr.runtime.distributed import this_process
    from iqasr.training.opt import opt_of
    from iqasr.training.run import build_loaders

    # The same folders; read as 8-bit images.
    options = Options(
        name='benchmark',
        scale=SCALE,
        datasets={'test': data_options(folder) | {'type': 'EvaluationDataset'}},
        network_g=NETWORK,
        val={'metrics': METRICS},
    )
    process = this_process(use_gpu=True)
    opt = opt_of(options, process, folder / 'results/set', seed=0, is_train=False)
    (loader,) = build_loaders(opt, SCALE, 'test')
    model = RestorationModel(opt)
    return lambda: model.validation(loader, 'benchmark', None).means()


KINDS = {'BasicSR': stock_validation, 'iqasr': own_validation}


def peak_bytes(kind: str, folder: Path) -> int:
    """Measure the peak memory of a validation in this, a fresh, process (Linux)."""
    KINDS[kind](folder)()
    status = Path('/proc/self/status').read_text(encoding='utf-8')
    return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) * 1024


def compare(count: int, side: int, blocks: int) -> dict[str, Any]:
    """Validate the same images by both, in alternating blocks.

    Args:
        count: Images.
        side: Side of the ground truths, in pixels.
        blocks: The images are shared out over so many blocks.

    Returns:
        By kind: ``seconds`` and ``cpu_seconds`` for all images, of each block; ``peak_mb``;
        ``means`` of the metrics of the first block. And ``ratio_seconds``, ``ratio_cpu_seconds``,
        medians over the blocks of iqasr's time to BasicSR's.
    """
    found: dict[str, Any] = {
        kind: {'seconds': [], 'cpu_seconds': [], 'means': {}} for kind in KINDS
    }
    with tempfile.TemporaryDirectory() as root:
        for number in tqdm(range(blocks), desc='blocks', unit='block'):
            folder = Path(root, str(number))
            write_images(folder, count // blocks, side)
            for kind in list(KINDS) if number % 2 else list(KINDS)[::-1]:
                validate = KINDS[kind](folder)
                start, start_cpu = time.perf_counter(), time.process_time()
                means = validate()
                found[kind]['seconds'].append((time.perf_counter() - start) * blocks)
                found[kind]['cpu_seconds'].append((time.process_time() - start_cpu) * blocks)
                found[kind]['means'] = found[kind]['means'] or means
        for kind in KINDS:
            with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
                found[kind]['peak_mb'] = pool.submit(peak_bytes, kind, folder).result() / 1e6
    for what in ('seconds', 'cpu_seconds'):
        times = zip(found['iqasr'][what], found['BasicSR'][what], strict=True)
        found[f'ratio_{what}'] = statistics.median(own / stock for own, stock in times)
    return found


def rows_of(found: dict[str, Any], count: int, side: int) -> list[dict[str, str]]:
    """Say what `compare` found, against the targets."""
    what = f'validation of {count} images of {side} px against BasicSR'
    medians = [
        [statistics.median(found[kind][key]) for kind in ('iqasr', 'BasicSR')]
        for key in ('seconds', 'cpu_seconds')
    ]
    texts = [
        f'{found[f"ratio_{key}"]:.3f} x ({own:.1f} s / {stock:.1f} s)'
        for key, (own, stock) in zip(('seconds', 'cpu_seconds'), medians, strict=True)
    ]
    own, stock = (found[kind]['peak_mb'] for kind in ('iqasr', 'BasicSR'))
    return [
        {'what': f'{what}: time', 'measured': texts[0], 'target': '<= 0.2 x'},
        {'what': f'{what}: CPU time', 'measured': texts[1], 'target': 'reported'},
        {
            'what': f'{what}: peak memory',
            'measured': f'{own / stock:.2f} x ({own:.0f} MB / {stock:.0f} MB)',
            'target': '<= 1 x',
        },
    ]
