"""Find the packages that an interpreter lacks for the GPU check, and pack them for it.

Needs nothing but the standard library, as it runs where iqasr cannot be imported.

Usage:
    python scripts/benchmarks/gpu_packages.py missing
    python scripts/benchmarks/gpu_packages.py pack .gpu --python 3.12
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

NEEDED = (
    'torch', 'torchvision', 'cv2', 'numpy', 'scipy', 'skimage', 'yaml', 'tqdm', 'filelock', 'h5py',
    'jinja2', 'matplotlib', 'safetensors', 'tensorboard', 'requests', 'einops', 'pytest',
    'basicsr', 'addict', 'future', 'lmdb', 'pydantic', 'spandrel', 'choix', 'pyiqa',
)  # fmt: skip
"""Modules."""

PACKED = ('addict', 'choix', 'future', 'lmdb', 'pyiqa', 'spandrel')
"""Packages that an image with torch mostly lacks; what they need in turn, it has, except:"""
PACKED_WHOLE = ('pydantic',)
"""Those packed together with what they need."""
WEIGHTS = ('nima', 'realesr-animevideov3-x4', 'lpips', 'alexnet')
"""Names of `iqasr-weights` that the check uses."""
PLATFORMS = ('manylinux_2_28_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64')


def find_missing(modules: Iterable[str] = NEEDED) -> list[str]:
    """List the modules that this interpreter lacks."""
    return [name for name in modules if find_spec(name) is None]


def pack(folder: Path, python: str) -> None:
    """Fetch wheels and weights.

    Args:
        folder: Receives ``wheels`` and ``cache``.
        python: Version of the interpreter that is to use them, ``3.12``; on Linux, x86-64.
    """
    wheels, cache = folder / 'wheels', folder / 'cache'
    shutil.rmtree(wheels, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, '-m', 'pip']
    target = ['--only-binary=:all:', '--python-version', python, '--implementation', 'cp']
    target += [part for name in PLATFORMS for part in ('--platform', name)]
    fetch = [*pip, 'download', '--dest', str(wheels), *target]
    subprocess.run([*fetch, '--no-deps', *PACKED], check=True)
    subprocess.run([*fetch, *PACKED_WHOLE], check=True)
    # BasicSR has no wheel; its build imports torch, which this environment has.
    build = ['wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', str(wheels)]
    subprocess.run([*pip, *build, 'basicsr==1.4.2'], check=True)
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from iqasr.pretrained import locate_weights

    for name in WEIGHTS:
        shutil.copy(locate_weights(name), cache)


def main() -> None:
    """Parse the command line; print what is missing, or pack."""
    parser = argparse.ArgumentParser(description='Packages for scripts/gpu_check.sh.')
    parser.add_argument('what', choices=['missing', 'pack'])
    parser.add_argument('folder', nargs='?', default='.gpu', help='where to pack')
    parser.add_argument('--python', default='3.12', help='version of the interpreter to pack for')
    args = parser.parse_args()
    if args.what == 'pack':
        pack(Path(args.folder), args.python)
    else:
        sys.stdout.write(' '.join(find_missing()))


if __name__ == '__main__':
    main()
