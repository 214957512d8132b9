"""Sample data of QualiSR-Lab: hand-made files of its layout, and the package if it is there."""

import csv
from importlib.util import find_spec

import pytest

from iqasr.analysis.analysis import analyse_metrics
from iqasr.analysis.given_scores import find_score_columns
from iqasr.analysis.qualisr import find_qualisr, write_qualisr_opinions
from iqasr.runtime.errors import DataError

PATHS = 'sample_id,sr_method,sr_filename,sr_path,gt_path,lr_path'


@pytest.fixture
def sample_data(tmp_path):
    """Two scenes by three networks: musiq orders 4 of 6 pairs as people do, lpips 6 of 6."""
    lines = {
        ('one', 'PASD'): (0.9, 70, 0.1),
        ('one', 'SUPIR'): (0.6, 75, 0.2),
        ('one', 'RealESRGAN'): (0.1, 50, 0.3),
        ('two', 'PASD'): (0.5, 60, 0.2),
        ('two', 'SUPIR'): (0.8, 65, 0.1),
        ('two', 'RealESRGAN'): (0.4, 62, 0.4),
    }
    labels, nr, fr = ['test_case,method,score,image'], [f'{PATHS},musiq'], []
    fr = [f'{PATHS},lpips-vgg_gt,lpips-vgg_bicubic']
    for (scene, method), (score, musiq, lpips) in lines.items():
        labels.append(f'{scene},{method.lower()},{score},sr/{method}/{scene}.png')
        place = f'{method}:{scene},{method},{scene}.png,sr,hr,lr'
        nr.append(f'{place},{musiq}')
        fr.append(f'{place},{lpips},0')
    for name, content in (('scores/labels', labels), ('features/nr', nr), ('features/fr', fr)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f'{name}.csv').write_text('\n'.join(content))
    return tmp_path


def accuracies(folder, tmp_path, names):
    write_qualisr_opinions(str(folder), str(tmp_path / 'opinions.csv'))
    _, analysis, _ = analyse_metrics(
        *(str(tmp_path / 'opinions.csv'), [], str(tmp_path / 'out')),
        given=find_score_columns(names),
        resamples=200,
    )
    found = [estimate.value for estimate in analysis.agreement['accuracy']]
    return dict(zip(analysis.comparisons.names, found, strict=True)), analysis


def test_sample_data_become_opinions_with_scores(sample_data, tmp_path):
    names = write_qualisr_opinions(str(sample_data), str(tmp_path / 'out.csv'))
    assert names == ['musiq', 'lpips-vgg']
    rows = list(csv.DictReader((tmp_path / 'out.csv').open()))
    assert len(rows) == 6
    assert rows[4] == {
        'path': 'sr/SUPIR/two.png', 'source_id': 'two', 'mos': '0.8', 'musiq': '65',
        'lpips-vgg': '0.1',
    }  # fmt: skip


def test_accuracy_is_that_by_hand(sample_data, tmp_path):
    found, analysis = accuracies(sample_data, tmp_path, ['musiq', 'lpips-vgg'])
    assert found == pytest.approx({'musiq': 4 / 6, 'lpips-vgg': 1})
    assert [estimate.value for estimate in analysis.agreement['top_1']] == [0.5, 1]


def test_what_is_missing_is_named(sample_data, tmp_path):
    labels = sample_data / 'scores/labels.csv'
    labels.write_text(labels.read_text().replace('two,pasd', 'three,pasd'))
    with pytest.raises(DataError, match=r"labels\.csv, line 5: .*no scores of \('pasd', 'three'\)"):
        write_qualisr_opinions(str(sample_data), str(tmp_path / 'out.csv'))
    with pytest.raises(DataError, match=r'there is no such file\. Name the folder sample_data'):
        write_qualisr_opinions(str(tmp_path / 'none'), str(tmp_path / 'out.csv'))


@pytest.mark.skipif(find_spec('qualisr') is None, reason='pip install --no-deps qualisr-lab')
def test_table_of_the_package_is_reproduced(tmp_path):
    names = ['qalign', 'musiq', 'arniqa', 'unique', 'paq2piq']
    found, analysis = accuracies(find_qualisr(), tmp_path, names)
    assert len(analysis.comparisons.p_b) == 120
    assert [round(found[name], 3) for name in names] == [0.867, 0.842, 0.792, 0.742, 0.633]
