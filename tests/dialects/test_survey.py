from pathlib import Path

import yaml

from iqasr.dialects.families import FAMILIES, SOURCES
from iqasr.dialects.survey import survey


def test_survey_says_of_every_file_whether_it_runs(realesrgan, basicsr, tmp_path):
    files = {
        'a.yml': realesrgan,
        'b/c.yml': basicsr | {'pre_pad': 10, 'sharpness': 2},
        'd.yml': basicsr | {'model_type': 'EDVRModel'},
        'e.yml': basicsr | {'scale': 2},
    }
    (tmp_path / 'files/b').mkdir(parents=True)
    for name, options in files.items():
        (tmp_path / 'files' / name).write_text(yaml.safe_dump(options))
    found = dict(survey(tmp_path / 'files'))
    assert found.pop('d.yml').startswith('model_type: EDVRModel is for video')
    assert 'enlarges 4 times, but the data is for scale 2' in found.pop('e.yml')
    assert found == {'a.yml': 'runs', 'b/c.yml': 'runs, 2 warnings'}


def test_every_name_that_is_understood_is_listed_in_the_guide():
    guide = (Path(__file__).parents[2] / 'options/FAMILIES.md').read_text(encoding='utf-8')
    known = [*FAMILIES, *SOURCES]
    assert [name for name in known if f'`{name}`' not in guide] == []
