"""Tell which option files run here, and which of their options would be left out."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from iqasr.checking.check import check, import_modules, notices_of_fetch
from iqasr.checking.dialects.rules import translate
from iqasr.models.networks import build_generator
from iqasr.options.file import ENDINGS, read_yaml
from iqasr.options.sections import RECOGNISED
from iqasr.runtime.commands import WRONG_INPUT, exit_code_of
from iqasr.runtime.errors import OptionError


def check_command(arguments: Sequence[str] | None = None) -> int:
    """Run ``iqasr-check``: write a line per option file; returns the exit code."""
    parser = argparse.ArgumentParser(
        description='Say which option files run, and why the others do not; without reading data '
        'or weights. To check those as well: iqasr-train -opt FILE --check.'
    )
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='PATH',
        help='option file, or folder of some (.yml, .yaml, .toml), any depth',
    )
    parsed = parser.parse_args(arguments)
    code = 0
    try:
        for path, verdict in survey(parsed.paths):
            sys.stdout.write(f'{path.as_posix()}: {verdict}\n')
            sys.stdout.flush()
            code = code if verdict.startswith('runs') else WRONG_INPUT
    except OptionError as error:
        sys.stderr.write(f'{parser.prog}: {error}\n')
        return exit_code_of(error)
    return code


def survey(paths: Sequence[str | Path]) -> Iterator[tuple[Path, str]]:
    """Check option files and build their networks, without data and weights.

    Args:
        paths: Option files, and folders that hold some (`ENDINGS`), at any depth.

    Yields:
        Each file and ``runs``, ``runs, <n> warnings, <weights> will be fetched``, or why not.

    Raises:
        OptionError: Before the first, if there is no such file, or a folder holds none.
    """
    files = [file for path in paths for file in option_files(Path(path))]
    yield from ((file, check_file(file)) for file in files)


def option_files(path: Path) -> list[Path]:
    """List the option files at a path; `survey` tells what is refused."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise OptionError(f'{path}: there is no such file or folder.')
    found = sorted(file for file in path.rglob('*') if file.suffix in ENDINGS)
    if not found:
        raise OptionError(f'{path}: holds no option file ({", ".join(ENDINGS)}).')
    return found


def check_file(path: Path) -> str:
    """Say whether an option file runs; if not, all that the check finds, and what it left out."""
    warnings: list[str] = []
    try:
        content = read_yaml(path)
        import_modules(content.get('custom_imports') or [])
        translation = translate(content)
        warnings = translation.warnings
        phase = 'train' if 'train' in content else 'test'
        options = check(translation.options, phase, translation.problems)
        notices = notices_of_fetch(options)
        if options.network_g != RECOGNISED:
            options.path.pretrain_network_g = None
            build_generator(options)
    except ValueError as error:
        return '\n  '.join([str(error).removeprefix(f'{path}: '), *warnings])
    count = len(warnings)
    warned = [f'{count} warning{"s" * (count > 1)}'] if count else []
    return ', '.join(['runs', *warned, *notices])
