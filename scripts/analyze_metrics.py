"""Analyse how well scorers agree with people, which errors they share, and how to combine them.

Usage:
    python scripts/analyze_metrics.py -i pairs.csv --scorers ranker niqe piqe -o results/analysis
    torchrun --nproc_per_node=8 scripts/analyze_metrics.py -i datasets/HGGT/Train --scorers musiq
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import iqasr  # noqa: F401 - prepares the import of basicsr
from iqasr.analysis.analysis import analyse_metrics
from iqasr.user_study import pairs_from_study


def main() -> None:
    """Score, and write the analysis; exit code 1 if scorers were left out."""
    parser = argparse.ArgumentParser(description='Analyse how well scorers agree with people.')
    parser.add_argument('-i', '--input', required=True, help='CSV, study.json or candidates')
    parser.add_argument('--votes', nargs='+', default=[], help='with study.json: files of votes')
    parser.add_argument('-o', '--output', default='results/analysis', help='folder for results')
    parser.add_argument('--scorers', required=True, nargs='+', help='names, or sections in YAML')
    parser.add_argument('--margin', type=float, default=0, help='least |p_b - 0.5| of a pair')
    parser.add_argument('--resamples', type=int, default=2000, help='of the bootstrap')
    parser.add_argument('--batch', type=int, default=8, help='most images per call')
    parser.add_argument('--cpu', action='store_true', help='do not use the GPU')
    args = parser.parse_args()
    try:
        is_study = args.votes or args.input.endswith('.json')
        source = pairs_from_study(args.input, args.votes) if is_study else args.input
        choices = {'least_margin': args.margin, 'resamples': args.resamples}
        choices |= {'batch': args.batch, 'cpu': args.cpu}
        report, left_out = analyse_metrics(source, args.scorers, args.output, **choices)
    except (OSError, ValueError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
    sys.stdout.write(report)
    sys.exit(1 if left_out else 0)


if __name__ == '__main__':
    main()
