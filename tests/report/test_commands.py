import pytest

from iqasr.report.commands import run_command


def test_failing_command_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r'no such option file'):
        run_command('train', tmp_path / 'none.yml', ['name=x'])
