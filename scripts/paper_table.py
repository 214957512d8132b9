"""List the rows of the paper's table: their progress, the next command, and the figures.

Usage:
    python scripts/paper_table.py --out results/paper_table.md
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.report.paper import paper_table
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description="Show the rows of the paper's table.")
    parser.add_argument('--out', help='Markdown file to write as well')
    args = parser.parse_args()
    with exit_codes(parser.prog):
        table = paper_table()
        if args.out:
            write_text_atomically(f'{table}\n', Path(args.out))
    sys.stdout.write(f'{table}\n')


if __name__ == '__main__':
    main()
