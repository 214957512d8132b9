from pathlib import Path

import pytest
import yaml

from iqasr.checking.dialects.families import DEGRADING_DATASETS, FAMILIES
from iqasr.options.file import read_yaml
from iqasr.runtime.errors import OptionError
from iqasr.training.survey import check_command, survey


def test_survey_says_of_every_file_whether_it_runs(realesrgan, basicsr, tmp_path):
    files = {
        'a.yml': realesrgan,
        'b/c.yml': basicsr | {'pre_pad': 10, 'favourite_colour': 2},
        'd.yml': basicsr | {'model_type': 'EDVRModel'},
        'e.yml': basicsr | {'scale': 2, 'pre_pad': 10},
    }
    (tmp_path / 'files/b').mkdir(parents=True)
    for name, options in files.items():
        (tmp_path / 'files' / name).write_text(yaml.safe_dump(options), encoding='utf-8')
    found = {path.name: said for path, said in survey([tmp_path / 'files'])}
    assert found.pop('d.yml').startswith('model_type: EDVRModel is for video')
    _, reason, left_out = found.pop('e.yml').splitlines()
    assert 'enlarges 4 times, but scale is 2' in reason
    assert left_out.startswith('  pre_pad: ')
    assert found == {'a.yml': 'runs', 'c.yml': 'runs, 2 warnings'}


def test_survey_leaves_out_no_option_file(basicsr, tmp_path):
    (tmp_path / 'a.yaml').write_text(yaml.safe_dump(basicsr), encoding='utf-8')
    (tmp_path / 'b.toml').write_text('name = "x"\nscale = 4\n', encoding='utf-8')
    (tmp_path / 'notes.md').write_text('x', encoding='utf-8')
    found = {path.name: said for path, said in survey([tmp_path])}
    assert found.pop('a.yaml') == 'runs'
    assert 'TOML, the format of neosr' in found.pop('b.toml')
    assert found == {}
    with pytest.raises(OptionError, match=r"Did you mean 'a\.yaml'"):
        read_yaml(tmp_path / 'a.yml')


def test_command_tells_by_its_exit_code_whether_all_files_run(basicsr, tmp_path, capsys):
    good, bad, empty = tmp_path / 'good.yml', tmp_path / 'bad/x.yml', tmp_path / 'empty'
    bad.parent.mkdir()
    empty.mkdir()
    good.write_text(yaml.safe_dump(basicsr), encoding='utf-8')
    bad.write_text('name: x\nscale: 4\n', encoding='utf-8')
    assert check_command([str(good)]) == 0
    assert capsys.readouterr().out == f'{good.as_posix()}: runs\n'
    assert check_command([str(good), str(bad.parent)]) == 2
    assert f'{bad.as_posix()}: ' in capsys.readouterr().out
    assert check_command([str(empty)]) == check_command([str(tmp_path / 'none.yml')]) == 2
    said = capsys.readouterr().err
    assert 'holds no option file' in said
    assert 'there is no such file or folder' in said


def test_every_name_that_is_understood_is_listed_in_the_guide():
    guide = (Path(__file__).parents[3] / 'options/FAMILIES.md').read_text(encoding='utf-8')
    known = [*FAMILIES, *DEGRADING_DATASETS]
    assert [name for name in known if f'`{name}`' not in guide] == []
