"""Analyse how well metrics agree with people, which errors they share, and how to combine them.

Usage:
    python scripts/analyze_metrics.py -i pairs.csv --scorers ranker niqe piqe -o results/analysis
    python scripts/analyze_metrics.py -i items.csv pairs.csv --scores MUSIQ --lower_better mine
    torchrun --nproc_per_node=8 scripts/analyze_metrics.py -i datasets/HGGT/Train --scorers musiq
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import iqasr  # noqa: F401 - prepares the import of basicsr
from iqasr.analysis.data_sets import analyse_data_sets, name_data_sets
from iqasr.analysis.given_scores import find_score_columns
from iqasr.user_study import pairs_from_study


def main() -> None:
    """Score, and write the analysis; exit code 1 if scorers were left out."""
    parser = argparse.ArgumentParser(description='Analyse how well metrics agree with people.')
    several = {'nargs': '+', 'default': []}
    parser.add_argument('-i', '--input', required=True, nargs='+', help='CSV, study.json, folder')
    parser.add_argument('--votes', help='with study.json: files of votes', **several)
    parser.add_argument('-o', '--output', default='results/analysis', help='folder for results')
    parser.add_argument('--scorers', help='names, or sections in YAML', **several)
    parser.add_argument('--scores', help='columns of the CSV with scores by known names', **several)
    parser.add_argument('--lower_better', help='further columns: lower is better', **several)
    parser.add_argument('--higher_better', help='further columns: higher is better', **several)
    parser.add_argument('--margin', type=float, default=0, help='least |p_b - 0.5| of a pair')
    parser.add_argument('--resamples', type=int, default=2000, help='of the bootstrap')
    parser.add_argument('--batch', type=int, default=8, help='most images per call')
    parser.add_argument('--cpu', action='store_true', help='do not use the GPU')
    args = parser.parse_args()
    if args.votes and not any(path.endswith('.json') for path in args.input):
        parser.error('--votes belong to the study.json of their study; give that as -i, too.')
    try:
        sources = [
            pairs_from_study(path, args.votes) if path.endswith('.json') else path
            for path in args.input
        ]
        choices = {'least_margin': args.margin, 'resamples': args.resamples}
        choices |= {'batch': args.batch, 'cpu': args.cpu}
        choices['given'] = find_score_columns(args.scores, args.lower_better, args.higher_better)
        named = dict(zip(name_data_sets(args.input), sources, strict=True))
        report, left_out = analyse_data_sets(named, args.scorers, args.output, **choices)
    except (OSError, ValueError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
    sys.stdout.write(report)
    sys.exit(1 if left_out else 0)


if __name__ == '__main__':
    main()
