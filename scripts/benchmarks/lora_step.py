"""Compare a training step of low-rank adapters with one of the whole network, as a table.

Usage:
    python scripts/benchmarks/lora_step.py --networks RRDBNet SwinIR --size 24 --rounds 5
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ratios import write_json
from training_step import NETWORKS, compare

HEADER = """\
| network | trained | parameters | optimiser MB | step ms | ratio | peak MB |
|---|---|---:|---:|---:|---:|---:|
"""


def main() -> None:
    """Parse the command line and print a Markdown table."""
    parser = argparse.ArgumentParser(description='Time LoRA against full fine-tuning.')
    parser.add_argument('--networks', nargs='+', default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument('--rank', type=int, default=8)
    parser.add_argument('--size', type=int, default=24, help='side of the low-quality crop')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=5, help='steps of each, alternating')
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    found = []
    sys.stdout.write(HEADER)
    for name in args.networks:
        shape = (args.batch, 3, args.size, args.size)
        for row in compare(name, args.rank, shape, args.rounds):
            sys.stdout.write('| ' + ' | '.join(row) + ' |\n')
            network, trained, _, optimiser, step, ratio, peak = row
            measured = f'{ratio} x ({step} ms); optimiser {optimiser} MB, peak {peak} MB'
            target = 'reported' if trained == 'all' else '<= 1.05 x'
            what = f'training step, {network}, trained: {trained}'
            found.append({'what': what, 'measured': measured, 'target': target})
    write_json(found, args.json, **vars(args))


if __name__ == '__main__':
    main()
