"""The package as `pip install` leaves it, outside its repository and started in an empty folder."""

import json
import os
import shutil
import subprocess
import sys

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


def install(folder):
    """Install a copy of the sources, so that the build leaves nothing in the repository."""
    source, site = folder / 'source', folder / 'site'
    source.mkdir()
    for name in ('setup.py', 'pyproject.toml', 'README.md'):
        shutil.copy(project_root() / name, source)
    ignored = shutil.ignore_patterns('__pycache__')
    shutil.copytree(project_root() / 'iqasr', source / 'iqasr', ignore=ignored)
    flags = ['--no-deps', '--no-index', '--no-build-isolation', '--no-compile', '--quiet']
    command = [sys.executable, '-m', 'pip', 'install', *flags, '--target', str(site), str(source)]
    subprocess.run(command, check=True)
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


def test_a_package_beside_ours_is_not_taken_for_data(tmp_path, monkeypatch):
    monkeypatch.setattr(
        'iqasr.runtime.paths.__file__', str(tmp_path / 'site/iqasr/runtime/paths.py')
    )
    (tmp_path / 'site/iqasr/weights').mkdir(parents=True)
    (tmp_path / 'site/datasets').mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve('datasets') == tmp_path / 'datasets'
    assert resolve('iqasr/weights') == tmp_path / 'site/iqasr/weights'
