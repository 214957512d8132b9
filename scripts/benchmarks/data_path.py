"""Compare reading raw stores with HGGT's and BasicSR's ways to a training sample, as a table.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/data_path.py --rounds 15 --json data_path.json
"""

import argparse
import itertools
import json
import random  # noqa: TID251 - the draws of BasicSR
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from iqasr import compat  # isort: skip  # noqa: F401 - first: it lets basicsr be imported

from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.data.transforms import augment
from basicsr.utils import imfrombytes, img2tensor
from photo_sets import write_candidates, write_pairs
from ratios import alternate, report, speed_up

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.candidates.hggt import ANNOTATORS
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.raw_pairs import RawPairs
from iqasr.data.scores.quality_rows import QualityRow
from iqasr.data.scores.quality_table import QualityTable, grouped
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import SoftmaxSampler

CROP = 256


class AllCandidates:
    """A sample as the HGGT data set makes it (METHODS of Chen et al. 2023), without degradation.

    Three label files are read and five images decoded to float32 and mirrored alike; the model then
    crops all five, and trains on one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.groups = open_candidates(str(root)).groups

    def sample(self, index: int) -> torch.Tensor:
        """Make one sample."""
        group = self.groups[index]
        labels = []
        for who in ANNOTATORS:
            path = self.root / 'labels' / group.key.replace('set/', f'set/{who}/')
            with open(f'{path}.json', encoding='utf-8') as file:
                labels.append([picture['Label'] for picture in json.load(file).values()])
        images = []
        for path in group.files:
            with open(path, 'rb') as file:
                images.append(imfrombytes(file.read(), float32=True))
        images = augment(images, hflip=True, rotation=False)
        tensors = img2tensor(images, bgr2rgb=True, float32=True)
        top, left = (random.randint(0, side - CROP) for side in tensors[0].shape[1:])
        crops = [image[:, top : top + CROP, left : left + CROP] for image in tensors]
        positive = [k for k, votes in enumerate(zip(*labels, strict=True)) if 'Positive' in votes]
        return torch.stack(crops)[random.choice(positive)]


def endless(sample: Callable[[int], Any], count: int) -> Callable[[], Any]:
    """Turn reading by index into work that goes through a data set again and again."""
    indices = itertools.cycle(range(count))
    return lambda: sample(next(indices))


def multi_gt(folder: Path, groups: int, size: int, rounds: int) -> dict[str, Any]:
    """Compare samples of originals and candidates."""
    root = write_candidates(folder / 'candidates', groups, size)
    create_raw_store(str(root), str(folder / 'candidates.raw'))
    hggt = AllCandidates(root)
    rows = [
        QualityRow(group.key, name, 'any', '1', '', float(k), 0.0, 4.0)
        for group in hggt.groups
        for k, name in enumerate(group.names)
    ]
    data = MultiGTDataset(
        str(folder / 'candidates.raw'),
        CROP,
        scale=4,
        sampling=SoftmaxSampler(temperature=2.0),
        quality=QualityTable('table', 'any', '1', (0.0, 4.0), grouped(rows)),
    )
    numbers = itertools.count()
    works = {
        'hggt': (endless(hggt.sample, groups), 5),
        'raw': (endless(lambda i: data.draw(i, generator_at(next(numbers))), groups), 200),
    }
    seconds = alternate(works, rounds)
    what = f'multi-GT sample, {size} px: 5 PNG + 3 JSON (HGGT) / raw store + table'
    return speed_up(what, seconds['hggt'], seconds['raw'], 50)


def paired(folder: Path, count: int, shape: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Compare pairs of ground truth and low-quality input."""
    root = write_pairs(folder / f'pairs{shape[0]}', count, *shape)
    roots = {}
    for codec, create in (('lmdb', create_lmdb), ('raw', create_raw_store)):
        for name in ('gt', 'lq'):
            roots[codec, name] = str(root / f'{name}.{codec}')
            create(str(root / name), roots[codec, name])
    turns = {'use_hflip': True, 'use_rot': True}
    options = {
        'dataroot_gt': roots['lmdb', 'gt'],
        'dataroot_lq': roots['lmdb', 'lq'],
        'io_backend': {'type': 'lmdb'},
        'phase': 'train',
        'scale': 4,
        'gt_size': CROP,
    }
    basicsr = PairedImageDataset(options | turns)
    raw = RawPairs(roots['raw', 'gt'], roots['raw', 'lq'], scale=4, gt_size=CROP, **turns)
    works = {
        'basicsr': (endless(basicsr.__getitem__, count), 5),
        'raw': (endless(raw.__getitem__, count), 200),
    }
    seconds = alternate(works, rounds)
    what = f'pair, {shape[1]} x {shape[0]} px: PNG LMDB (BasicSR) / raw store'
    return speed_up(what, seconds['basicsr'], seconds['raw'], 15)


def main() -> None:
    """Parse the command line, make the data in a temporary folder, and compare."""
    parser = argparse.ArgumentParser(description='Time the way to a training sample.')
    parser.add_argument('--groups', type=int, default=40, help='groups of five candidates')
    parser.add_argument('--size', type=int, default=512, help="their side; HGGT's is 512")
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows = [
            multi_gt(folder, args.groups, args.size, args.rounds),
            paired(folder, 2 * args.groups, (480, 480), args.rounds),
            paired(folder, 12, (1356, 2040), args.rounds),
        ]
    report(rows, args.json, groups=args.groups, size=args.size, rounds=args.rounds)


if __name__ == '__main__':
    main()
