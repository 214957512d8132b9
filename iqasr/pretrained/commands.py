"""The command ``iqasr-weights``: list, get and import weights."""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from iqasr.pretrained.cache import find_weights, import_file, is_here, megabytes, place_of
from iqasr.pretrained.catalogue import CATALOGUE
from iqasr.pretrained.entry import Entry
from iqasr.pretrained.sources import PackageSource, sha256_of
from iqasr.runtime.commands import exit_code_of
from iqasr.runtime.errors import InputError


def weights_command(arguments: Sequence[str] | None = None) -> int:
    """Run ``iqasr-weights``; returns the exit code."""
    parser = argparse.ArgumentParser(description='Weights by name.')
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('list', help='list all names')
    get = commands.add_parser('get', help='fetch weights into the cache')
    get.add_argument('names', nargs='+', metavar='NAME')
    bring = commands.add_parser('import', help='take them from files that were copied here')
    bring.add_argument('files', nargs='+', metavar='FILE', type=Path)
    parsed = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    if parsed.command == 'list':
        sys.stdout.write(table())
        return 0
    if parsed.command == 'get':
        return each(parsed.names, get_weights)
    return each(parsed.files, lambda file: '\n'.join(import_file(file)))


def each(items: Sequence[str | Path], work: Callable[..., str]) -> int:
    """Do some work on each item and write what it returns at the end; returns the exit code."""
    done, code = [], 0
    for item in items:
        try:
            done.append(work(item))
        except (InputError, OSError) as error:
            sys.stderr.write(f'{error}\n')
            code = max(code, exit_code_of(error))
    sys.stdout.write(''.join(f'{line}\n' for line in done))
    return code


def get_weights(name: str) -> str:
    """Fetch weights if need be; returns a line on time, size and hash of their file."""
    start = time.monotonic()
    path = find_weights(name)
    seconds, size = time.monotonic() - start, path.stat().st_size
    return f'{name}  {seconds:.1f} s  {megabytes(size)}  sha256 {sha256_of(path)}  {path}'


def table() -> str:
    """Tabulate the catalogue."""
    rows = [('name', 'kind', 'fetched', 'licence', 'from', 'what it is')]
    rows += [row_of(entry) for entry in CATALOGUE.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ('  '.join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return ''.join(f'{line}\n' for line in lines)


def row_of(entry: Entry) -> tuple[str, ...]:
    """Make the row of an entry."""
    size = megabytes(entry.size)
    return (entry.name, entry.kind, size, entry.license, origin_of(entry), entry.about)


def origin_of(entry: Entry) -> str:
    """Say where the weights of an entry are, or would come from."""
    if is_here(entry):
        return f'here: {place_of(entry)}'
    source = entry.sources[0]
    if isinstance(source, PackageSource):
        return source.requirement + (' (installed)' if source.is_installed else ' (PyPI)')
    return source.url.split('/')[2]
