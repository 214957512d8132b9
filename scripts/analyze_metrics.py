"""Analyse how well metrics agree with people, which errors they share, and how to combine them.

Usage:
    python scripts/analyze_metrics.py -i pairs.csv --scorers niqe --scores MUSIQ --lower_better mine
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.analysis.data_sets import analyse_data_sets
from iqasr.analysis.given_scores import find_score_columns
from iqasr.runtime.commands import exit_codes
from iqasr.user_study import find_data_sets


def main() -> None:
    """Score, and write the analysis; exit code 1 if scorers were left out."""
    parser = argparse.ArgumentParser(description='Analyse how well metrics agree with people.')
    parser.add_argument('-i', '--input', required=True, nargs='+', help='CSV, study.json, folder')
    parser.add_argument('--votes', nargs='+', default=[], help='with study.json: files of votes')
    parser.add_argument('-o', '--output', default='results/analysis', help='folder for results')
    parser.add_argument('--scorers', nargs='+', default=[], help='names, or sections in YAML')
    parser.add_argument('--scores', nargs='+', default=[], help='columns of known metrics')
    parser.add_argument('--lower_better', nargs='+', default=[], help='other columns')
    parser.add_argument('--higher_better', nargs='+', default=[], help='other columns')
    parser.add_argument('--least_margin', '--margin', type=float, default=0, help='of |p_b - 0.5|')
    parser.add_argument('--resamples', type=int, default=2000, help='of the bootstrap')
    parser.add_argument('--batch', type=int, default=8, help='most images per call')
    parser.add_argument('--cpu', action='store_true', help='do not use the GPU')
    args = vars(parser.parse_args())
    columns = [args.pop(name) for name in ('scores', 'lower_better', 'higher_better')]
    with exit_codes(parser.prog):
        sets = find_data_sets(args.pop('input'), args.pop('votes'))
        report, left_out = analyse_data_sets(sets, given=find_score_columns(*columns), **args)
    sys.stdout.write(report)
    sys.exit(1 if left_out else 0)


if __name__ == '__main__':
    main()
