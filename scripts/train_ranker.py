"""Train a ranker, the small learned scorer, on photographs, ordered distortions and votes.

Usage:
    python scripts/train_ranker.py -i photographs -o my_ranker.safetensors --votes pairs.csv
"""

import argparse
import logging
import sys
from dataclasses import asdict
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.ranking import RankerOptions, train_from_folder
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Train; after a kill, the same command resumes."""
    parser = argparse.ArgumentParser(description='Train a ranker on photographs.')
    parser.add_argument('-i', '--input', required=True, help='folder of photographs')
    parser.add_argument('-o', '--output', required=True, help='.safetensors to write')
    parser.add_argument('--reduce', type=float, default=2, help='factor by which to reduce them')
    parser.add_argument('--networks', nargs='+', default=[], help='whose outputs are learnt')
    parser.add_argument('--tuned', nargs=2, default=(), help='network before, after FT on a ranker')
    parser.add_argument('--votes', help='pairs.csv with votes of people, or labelled candidates')
    parser.add_argument('--teacher', help="scorer whose order is learnt, '{type: NIQEScorer}'")
    parser.add_argument('--start', help='weights to start from (default: random)')
    numbers = asdict(RankerOptions())
    for name, default in numbers.items():
        parser.add_argument(f'--{name}', type=type(default), default=default)
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    options = RankerOptions(**{name: args.pop(name) for name in numbers})
    with exit_codes(parser.prog):
        args['teacher'] = yaml.safe_load(args['teacher'] or 'null')
        train_from_folder(args.pop('input'), args.pop('output'), options, **args)


if __name__ == '__main__':
    main()
