"""What an installed package holds beside Python."""

import runpy

import setuptools

from iqasr.runtime.paths import packaged_weights, project_root


def test_every_file_of_the_package_is_installed(monkeypatch):
    monkeypatch.chdir(project_root())
    given = {}
    monkeypatch.setattr(setuptools, 'setup', given.update)
    runpy.run_path('setup.py')
    package = project_root() / 'iqasr'
    found = {
        path
        for path in package.rglob('*')
        if path.is_file() and path.suffix != '.py' and '__pycache__' not in path.parts
    }
    installed = {
        path for pattern in given['package_data']['iqasr'] for path in package.glob(pattern)
    }
    assert found <= installed
    folders = {path.parent for path in package.rglob('*.py')}
    assert {f.relative_to(project_root()).as_posix().replace('/', '.') for f in folders} == set(
        given['packages']
    )


def test_packaged_network_is_small():
    assert packaged_weights('compact_x4.safetensors').stat().st_size < 3_000_000
