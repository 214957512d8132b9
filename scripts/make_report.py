"""Compare result folders of iqasr/test.py: an HTML page, tables and a grid of pictures.

Usage:
    python scripts/make_report.py results/a results/b -o results/report.html
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.report import PictureSize, write_report
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Write the report and print its tables."""
    parser = argparse.ArgumentParser(description='Compare result folders.')
    parser.add_argument('folders', nargs='*', help='result folders')
    parser.add_argument('-i', '--input', nargs='+', default=[], help='further result folders')
    parser.add_argument('-o', '--output', required=True, help='page (.html), or folder for it')
    parser.add_argument('--baseline', help='run with which to compare (default: the first)')
    parser.add_argument('--crop_px', type=int, default=160, help='side of the crops (0: none)')
    parser.add_argument('--whole_px', type=int, default=320, help='of the whole images (0: none)')
    parser.add_argument('--quality', type=int, default=92, help='quality of JPEG (100: PNG)')
    args = parser.parse_args()
    folders = args.folders + args.input
    if not folders:
        parser.error('name at least one result folder')
    with exit_codes(parser.prog):
        size = PictureSize(args.crop_px, args.whole_px, args.quality)
        report = write_report(folders, args.output, baseline=args.baseline, size=size)
    sys.stdout.write(f'{report.table}\n\n{report.words}\nPage: {report.page}\n')
    if report.missing:
        parser.exit(2, f'{parser.prog}: ' + '\n'.join(report.missing) + '\n')
    sys.stdout.write(f'Pictures: {report.page.with_suffix(".png")}\n')


if __name__ == '__main__':
    main()
