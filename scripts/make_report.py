"""Compare result folders of the test script: a table and a grid of pictures.

Usage:
    python scripts/make_report.py -i results/a results/b -o results/report
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.checkpoint import write_text_atomically
from iqasr.report import markdown_table, picture_grid, read_results
from iqasr.validation import write_image


def main() -> None:
    """Parse the command line and write ``report.md`` and ``grid.png``."""
    parser = argparse.ArgumentParser(description='Compare result folders.')
    parser.add_argument('-i', '--input', nargs='+', required=True, help='result folders')
    parser.add_argument('-o', '--output', required=True, help='folder of the report')
    args = parser.parse_args()
    try:
        results = [read_results(folder) for folder in args.input]
        table = markdown_table(results)
        folder = Path(args.output)
        write_text_atomically(f'{table}\n\n![pictures](grid.png)\n', folder / 'report.md')
        write_image(folder / 'grid.png', picture_grid(results))
    except (OSError, ValueError) as error:
        sys.exit(f'{parser.prog}: {error}')
    sys.stdout.write(f'{table}\n\nPictures: {folder / "grid.png"}\n')


if __name__ == '__main__':
    main()
