"""The package as wheel and source distribution, installed and started in an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions

import yaml

from iqasr.runtime.paths import project_root, resolve

PROGRAM = """
import json, sys
from importlib.metadata import distribution
import iqasr
commands = {entry.name: entry.load() for entry in distribution('iqasr').entry_points}
for name, *words in json.loads(sys.argv[1]):
    assert commands[name](words) == 0, name
print(iqasr.__file__)
"""


OFFLINE = ['--no-deps', '--no-index', '--quiet']
SDIST = 'import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])'


def install(folder):
    """Build a source distribution, of that a wheel, and install it; in a copy of the sources."""
    source, dist, site = folder / 'source', folder / 'dist', folder / 'site'
    source.mkdir()
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(project_root() / name, source)
    ignored = shutil.ignore_patterns('__pycache__')
    shutil.copytree(project_root() / 'iqasr', source / 'iqasr', ignore=ignored)
    build = [sys.executable, '-c', SDIST, str(dist)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (sdist,) = dist.glob('iqasr-*.tar.gz')
    pip = [sys.executable, '-m', 'pip']
    wheel = [*pip, 'wheel', *OFFLINE, '--no-build-isolation', '-w', str(dist), str(sdist)]
    subprocess.run(wheel, check=True)
    (built,) = dist.glob('iqasr-*-py3-none-any.whl')
    install = [*pip, 'install', *OFFLINE, '--no-compile', '--target', str(site), str(built)]
    subprocess.run(install, check=True)
    return site


def test_installed_commands_train_and_test_in_any_folder(paired_options, pairs, tmp_path):
    site, work = install(tmp_path), tmp_path / 'work'
    shutil.copytree(pairs, work / 'data')
    options = paired_options
    options['network_g'] = {'type': 'SRVGGNetCompact', 'num_conv': 8, 'act_type': 'prelu'}
    options['path'] = {'pretrain_network_g': 'iqasr/weights/compact_x4.safetensors'}
    options['train']['total_iter'] = options['val']['val_freq'] = 2
    for section in options['datasets'].values():
        section |= {'dataroot_gt': 'data/gt', 'dataroot_lq': 'data/lq'}
    options['datasets']['test'] = options['datasets']['val']
    (work / 'options.yml').write_text(yaml.safe_dump(options), encoding='utf-8')
    weights = 'path:pretrain_network_g=experiments/tiny/models/net_g_latest.pth'
    commands = [
        ['iqasr-check', '.'],
        ['iqasr-train', '-opt', 'options.yml'],
        ['iqasr-test', '-opt', 'options.yml', '--force_yml', weights],
    ]
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, json.dumps(commands)],
        cwd=work,
        env=os.environ | {'PYTHONPATH': str(site), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['options.yml: runs', str(site / 'iqasr' / '__init__.py')]
    assert (work / 'experiments/tiny/models/net_g_2.pth').is_file()
    assert (work / 'results/tiny/summary.json').is_file()
    written = {'data', 'options.yml', 'experiments', 'results'}
    assert {path.name for path in work.iterdir()} == written
    (found,) = distributions(name='iqasr', path=[str(site)])
    assert found.metadata['License-File'] == 'LICENSE'
    # BasicSR's release imports torch while it is built: pip alone cannot install what needs it.
    assert not any(re.match(r'basicsr\b', required) for required in found.requires)
    ours = (file.relative_to(project_root()) for file in (project_root() / 'iqasr').rglob('*.*'))
    code = {file.as_posix() for file in ours if file.suffix in ('.py', '.html', '.js', '.css')}
    assert code <= {file.as_posix() for file in found.files}


def test_a_package_beside_ours_is_not_taken_for_data(tmp_path, monkeypatch):
    monkeypatch.setattr(
        'iqasr.runtime.paths.__file__', str(tmp_path / 'site/iqasr/runtime/paths.py')
    )
    (tmp_path / 'site/iqasr/weights').mkdir(parents=True)
    (tmp_path / 'site/datasets').mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve('datasets') == tmp_path / 'datasets'
    assert resolve('iqasr/weights') == tmp_path / 'site/iqasr/weights'
