"""The packages of iqasr: each imports those before it, and there are no others."""

import ast
import inspect
from pathlib import Path

import iqasr

PACKAGE = Path(iqasr.__file__).parent
LOOSE = ['compat', 'registry']
PACKAGES = [
    line.split()[0] for line in inspect.getdoc(iqasr).splitlines() if line.startswith('    ')
]
TOOLS = [
    *('enhancement', 'analysis', 'curation', 'ranking', 'user_study', 'report', 'restoration'),
    'improvement',
]
ORDER = [*LOOSE, *PACKAGES, *TOOLS, '__init__', 'train', 'test']


def package_of(module: str) -> str:
    return module.split('.')[1] if '.' in module else '__init__'


def arrows():
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE).with_suffix('').parts
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == 'iqasr':
                modules = [f'iqasr.{alias.name}' for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or '']
            for module in modules:
                if module.split('.')[0] == 'iqasr':
                    yield path, parts[0], package_of(module)


def test_every_package_is_listed_and_few_modules_are_loose():
    packages = {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert packages == {*PACKAGES, *TOOLS}
    loose = {path.stem for path in PACKAGE.glob('*.py')}
    assert loose == {'__init__', 'train', 'test', *LOOSE}


def test_packages_import_only_those_before_them():
    wrong = [
        f'{path.relative_to(PACKAGE)} imports {target}'
        for path, package, target in arrows()
        if target != package and ORDER.index(target) > ORDER.index(package)
    ]
    assert wrong == []


def test_the_package_imports_its_packages_in_their_order():
    source = (PACKAGE / '__init__.py').read_text(encoding='utf-8')
    imported = [
        alias.name
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and node.module == 'iqasr'
        for alias in node.names
    ]
    assert imported == sorted(imported, key=ORDER.index)
