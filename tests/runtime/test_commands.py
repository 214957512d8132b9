import re

import pytest

from iqasr.runtime.commands import exit_codes
from iqasr.runtime.errors import CheckpointError, DataError, MissingWeightsError, StorageError
from iqasr.runtime.paths import project_root

SCRIPTS = sorted((project_root() / 'scripts').glob('*.py'))


@pytest.mark.parametrize(
    ('error', 'code'),
    [
        (StorageError('out.csv: the disk is full.'), 3),
        (CheckpointError('x.pth: is no checkpoint.'), 2),
        (MissingWeightsError('vgg16: cannot be fetched.'), 2),
        (DataError('a.png: broken.'), 2),
        (FileNotFoundError('a.png'), 2),
        (RuntimeError('train failed.'), 2),
    ],
)
def test_refusal_is_a_message_and_a_code(error, code, capsys):
    with pytest.raises(SystemExit) as ended, exit_codes('make_report.py'):
        raise error
    assert ended.value.code == code
    assert capsys.readouterr().err == f'make_report.py: {error}\n'


def test_mistakes_of_the_program_keep_their_traceback():
    with pytest.raises(KeyError), exit_codes('make_report.py'):
        raise KeyError('images')


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda path: path.name)
def test_scripts_end_in_one_way(path):
    text = path.read_text(encoding='utf-8')
    assert 'except ' not in text
    assert 'exit_codes(' in text or re.search(r'sys\.exit\(\w+_command\(\)\)', text)
