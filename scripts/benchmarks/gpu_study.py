"""Carry out options/studies/short.yml on the photographs of scikit-image, and time it.

Usage:
    python scripts/benchmarks/gpu_study.py --seeds 1 --json gpu_study.json
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ratios import report_measured

from iqasr.enhancement.sample_dataset import make_sample_dataset
from iqasr.options.file import read_yaml
from iqasr.report.variants import compare_variants
from iqasr.runtime.atomic_files import write_json

PLAN = Path(__file__).resolve().parents[2] / 'options/studies/short.yml'


def plan_in(folder: Path, seeds: int, iterations: int | None) -> dict[str, Any]:
    """Write the plan for data in a folder.

    Args:
        folder: Holds the sample data set.
        seeds: Number of seeds.
        iterations: Of each training; None for those of the plan.
    """
    plan = read_yaml(PLAN)
    plan |= {'candidates': str(folder / 'train'), 'seeds': list(range(seeds))}
    plan['tests']['sample']['images'] = str(folder / 'val/gt')
    if iterations is not None:
        plan['options']['train']['total_iter'] = iterations
        plan['variants']['control']['options']['train']['total_iter'] = iterations
        plan['options']['datasets']['train'] |= {'batch_size_per_gpu': 1, 'gt_size': 64}
    return plan


def rows_of(text: str) -> list[dict[str, Any]]:
    """Take the lines of all tables of a report; the rest of each line is what was measured."""
    rows = []
    for line in text.splitlines():
        first, *cells = [cell.strip() for cell in line.strip('|').split('|')]
        if line.startswith('| ') and cells:
            rows.append({'what': first, 'measured': '; '.join(cells), 'target': 'reported'})
    return rows


def main() -> None:
    """Parse the command line, make the data in a temporary folder, and carry out the study."""
    parser = argparse.ArgumentParser(description='A short study.')
    parser.add_argument('--seeds', type=int, default=1, help='of each variant')
    parser.add_argument('--iterations', type=int, help='of each training, for a try')
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_sample_dataset(str(folder / 'sample'))
        plan = plan_in(folder / 'sample', args.seeds, args.iterations)
        write_json(plan, folder / 'plan.yml')  # JSON is YAML
        text = compare_variants(str(folder / 'plan.yml'), str(folder / 'study'))
    sys.stdout.write(text)
    seconds = {'what': 'whole study', 'target': 'reported'}
    seconds['measured'] = f'{time.perf_counter() - start:.0f} s'
    report_measured([seconds, *rows_of(text)], args.json, **vars(args))


if __name__ == '__main__':
    main()
