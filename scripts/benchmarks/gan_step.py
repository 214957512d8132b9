"""Compare training steps with BasicSR's ``SRGANModel``: L1, perceptual and adversarial loss.

Both take the same batch; features and discriminator have their full sizes and random weights.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/gan_step.py --rounds 5 --json gan_step.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gan_models import NETWORKS, our_step, stock_step, with_random_features
from ratios import alternate, report, speed_up


def main() -> None:
    """Parse the command line and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Time training steps against BasicSR's.")
    parser.add_argument('--networks', nargs='+', default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument('--speed', default='plain', help='train.speed of our step')
    parser.add_argument('--amp', default='none', help='train.amp of our step')
    parser.add_argument('--loss', default='GANLoss', choices=['GANLoss', 'RelativisticGANLoss'])
    parser.add_argument('--size', type=int, default=24, help='side of the low-quality crop')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', help='file to write the figures to')
    args = parser.parse_args()
    rows = []
    with with_random_features():
        for name in args.networks:
            settings = name, args.batch, args.size, args.loss
            works = {
                'plain': (stock_step(*settings), 1),
                'fast': (our_step(*settings, speed=args.speed, amp=args.amp), 1),
            }
            times = alternate(works, args.rounds)
            rows.append(speed_up(f'training step, {name}', times['plain'], times['fast'], 1.5))
    report(rows, args.json, **vars(args))


if __name__ == '__main__':
    main()
