"""Measure start-up and memory: the index of HGGT's size, imports, 10,000 samples; as a table.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/start_up.py --groups 20193 --json start_up.json
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from photo_sets import write_candidates
from ratios import report_measured

from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import UniformSampler

IMPORTS = {
    'basicsr': """
import sys, types
from torchvision.transforms.functional import rgb_to_grayscale
name = 'torchvision.transforms.functional_tensor'
sys.modules[name] = types.ModuleType(name)
sys.modules[name].rgb_to_grayscale = rgb_to_grayscale
import basicsr
""",
    'iqasr': 'import iqasr',
}
"""basicsr needs a stand-in to be imported with a new torchvision; iqasr brings its own."""


def starts(folder: Path, groups: int) -> list[tuple[str, str, str]]:
    """Time the first and second start with so many groups of five (links to a few images)."""
    few = write_candidates(folder / 'few', 4, 64)
    root = folder / 'many'
    paths = [path.relative_to(few) for path in sorted(few.rglob('00000*'))]
    for number in range(groups):
        for path in paths:
            copy = root / path.parent / path.name.replace('00000', f'{number:05d}')
            if number == 0:
                copy.parent.mkdir(parents=True)
            os.link(few / path, copy)
    time.sleep(1.1)  # what has changed just now is not trusted
    rows = []
    for which, target in (('first', 'reported'), ('second', '< 2 s')):
        start = time.perf_counter(), time.process_time()
        data = MultiGTDataset(str(root), 64, scale=4, sampling=UniformSampler())
        problems = data.check()
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        if problems or len(data) != groups:
            raise RuntimeError(f'{root}: {problems[:3]}')
        what = f'{which} start, {groups} groups of 5 with labels, all images checked'
        rows.append((what, f'{wall:.2f} s ({cpu:.2f} s CPU)', target))
    return rows


def imports(rounds: int) -> list[tuple[str, str, str]]:
    """Compare the CPU time of importing iqasr and basicsr in fresh processes, alternating."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(rounds + 1):
        for name, code in IMPORTS.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, '-W', 'ignore', '-c', code]
            subprocess.run(command, cwd=Path(__file__).resolve().parents[2], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            times[name].append(used)
    ours, theirs = (statistics.median(times[name][1:]) for name in ('iqasr', 'basicsr'))
    shown = f'{ours / theirs:.2f} x ({ours:.2f} s / {theirs:.2f} s)'
    return [('import iqasr / import basicsr, CPU time', shown, '<= 1.3 x')]


def memory(folder: Path, samples: int) -> list[tuple[str, str, str]]:
    """Compare the memory of this process after a tenth of so many samples and after all (Linux)."""
    create_raw_store(str(write_candidates(folder / 'set', 10, 256)), str(folder / 'set.raw'))
    data = MultiGTDataset(str(folder / 'set.raw'), 128, scale=4, sampling=UniformSampler())
    rows = []
    for number in range(1, samples + 1):
        data.draw(number % len(data), generator_at(number))
        if number in (samples // 10, samples):
            status = Path('/proc/self/status').read_text(encoding='utf-8')
            rows.append(int(re.search(r'RssAnon:\s+(\d+) kB', status)[1]) / 1024)
    shown = f'{rows[1] - rows[0]:+.2f} MiB ({rows[1]:.0f} MiB)'
    what = f'memory after {samples} samples, against a tenth of them'
    return [(what, shown, 'flat')]


def main() -> None:
    """Parse the command line, make the data in a temporary folder, and measure."""
    parser = argparse.ArgumentParser(description='Time start-up, watch memory.')
    parser.add_argument('--groups', type=int, default=20_193, help='as many as HGGT')
    parser.add_argument('--samples', type=int, default=10_000)
    parser.add_argument('--rounds', type=int, default=5, help='imports of each')
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        rows = starts(Path(temporary), args.groups)
        rows += memory(Path(temporary), args.samples)
    rows += imports(args.rounds)
    named = [dict(zip(('what', 'measured', 'target'), row, strict=True)) for row in rows]
    report_measured(named, args.json, **vars(args))


if __name__ == '__main__':
    main()
