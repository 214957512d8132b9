"""Train a ranker, the small learned scorer, on photographs and ordered damage.

Usage:
    python scripts/train_ranker.py -i photographs -o my_ranker.safetensors
"""

import argparse
import logging
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.ranking import RankerOptions, train_from_folder


def main() -> None:
    """Parse the command line and train; killed and started again, it goes on."""
    defaults = RankerOptions()
    parser = argparse.ArgumentParser(description='Train a ranker on photographs.')
    parser.add_argument('-i', '--input', required=True, help='folder of photographs')
    parser.add_argument('-o', '--output', required=True, help='.safetensors to write')
    parser.add_argument('--reduce', type=float, default=2, help='make them smaller by this factor')
    parser.add_argument('--network', help='test option file of a network, for ladders of outputs')
    parser.add_argument('--teacher', help="scorer whose order is learnt too, '{type: NIQEScorer}'")
    parser.add_argument('--start', help='weights of a ranker to start from (default: random)')
    parser.add_argument('--iterations', type=int, default=defaults.iterations)
    parser.add_argument('--lr', type=float, default=defaults.lr)
    parser.add_argument('--robustness', type=float, default=defaults.robustness)
    parser.add_argument('--seed', type=int, default=defaults.seed)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    chosen = ('iterations', 'lr', 'robustness', 'seed')
    options = RankerOptions(**{name: getattr(args, name) for name in chosen})
    teacher = yaml.safe_load(args.teacher) if args.teacher else None
    files = {'reduce': args.reduce, 'network': args.network, 'teacher': teacher}
    files['start'] = args.start
    try:
        train_from_folder(args.input, args.output, options, **files)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'{parser.prog}: {error}')


if __name__ == '__main__':
    main()
