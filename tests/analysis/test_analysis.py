import csv
import json
import runpy

import cv2
import numpy as np
import pytest

from iqasr.analysis.analysis import analyse_metrics
from iqasr.analysis.pairs import read_pairs
from iqasr.ranking.ladder_pairs import make_ladder_pairs
from iqasr.runtime.errors import DataError
from iqasr.runtime.paths import project_root


@pytest.fixture
def analysed(pairs_csv, scorers, tmp_path):
    """Folder of results, and the report."""
    words, out = ['brightness', 'flatness'], tmp_path / 'out'
    report, _, failures = analyse_metrics(str(pairs_csv), words, str(out), resamples=200)
    assert failures == {}
    return out, report


def test_report_shows_who_agrees(analysed):
    folder, report = analysed
    assert (folder / 'report.md').read_text() == report
    assert report.startswith('24 pairs from 12 source images (0 more without a clear winner).')
    assert '| brightness | 1.000 [1.000, 1.000] | 0.' in report
    assert '| scorer | accuracy | SROCC | KROCC | PLCC | undecided |' in report
    assert report.index('| brightness') < report.index('| flatness')
    assert '| flatness | brightness | 1.000 [1.000, 1.000] |' in report


def test_files_agree_with_each_other(analysed):
    folder, _ = analysed
    about = json.loads((folder / 'analysis.json').read_text())
    for name in ('agreement', 'complementarity', 'combinations'):
        rows = list(csv.DictReader((folder / f'{name}.csv').open()))
        assert [list(row) for row in rows] == [list(row) for row in about[name]]
        numbers = [k for k, v in about[name][0].items() if isinstance(v, float)]
        assert numbers
        for row, entry in zip(rows, about[name], strict=True):
            assert [float(row[k] or 'nan') for k in numbers] == pytest.approx(
                [np.nan if entry[k] is None else entry[k] for k in numbers], nan_ok=True
            )
    assert set(about['reliability']) == {
        'difference of quality, z-scored',
        'margin among people, |p_b - 0.5|',
    }


def test_pictures_are_drawn(analysed):
    for name in ('accuracy_where_wrong', 'jaccard', 'reliability'):
        image = cv2.imread(str(analysed[0] / f'{name}.png'))
        assert min(image.shape[:2]) > 300
        assert image.std() > 10
    assert not list(analysed[0].glob('.*'))


def test_one_scorer_is_enough(pairs_csv, scorers, tmp_path):
    report, _, _ = analyse_metrics(str(pairs_csv), ['flatness'], str(tmp_path / 'o'), resamples=50)
    assert 'combination' not in report
    assert (tmp_path / 'o/accuracy_where_wrong.png').is_file()


def test_margin_leaves_pairs_out(pairs_csv, scorers, tmp_path):
    arguments = (str(pairs_csv), ['brightness'], str(tmp_path / 'out'))
    report, _, _ = analyse_metrics(*arguments, resamples=50, least_margin=0.3)
    decided = sum(abs(pair.p_b - 0.5) >= 0.3 for pair in read_pairs(str(pairs_csv)).pairs)
    assert report.startswith(f'{decided} pairs')
    assert f'({24 - decided} more' in report
    with pytest.raises(DataError, match='lower margin'):
        analyse_metrics(*arguments, least_margin=0.5)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run the script in this process; returns its exit code and what it wrote."""
    script = project_root() / 'scripts/analyze_metrics.py'

    def run(csv_text, *scorers):
        (tmp_path / 'pairs.csv').write_text(f'path_a,path_b,p_b,source_id\n{csv_text}')
        words = ['-i', f'{tmp_path}/pairs.csv', '-o', f'{tmp_path}/out', '--scorers', *scorers]
        monkeypatch.setattr('sys.argv', [script.name, *words])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(script), run_name='__main__')
        return caught.value.code, capsys.readouterr()

    return run


def test_command_tells_by_its_exit_code_what_went_wrong(command, photographs, tmp_path):
    for number, image in enumerate(photographs[:2]):
        cv2.imwrite(str(tmp_path / f'{number}_a.png'), image)
        cv2.imwrite(str(tmp_path / f'{number}_b.png'), cv2.GaussianBlur(image, (0, 0), 3))
    good = '0_a.png,0_b.png,0,x\n1_b.png,1_a.png,0.9,y\n'
    code, said = command(good, 'ranker')
    assert code == 0
    assert '| ranker | 1.000 [1.000, 1.000] |' in said.out
    assert command(good, 'ranker', '{type: RankerScorer, weights: gone.safetensors}')[0] == 1
    code, said = command('x.png,0_b.png,2,s\n', 'ranker')
    assert code == 2
    assert 'pairs.csv, line 2: x.png: there is no such file' in said.err
    assert 'pairs.csv, line 2: p_b is 2' in said.err
    (tmp_path / 'image.csv').write_bytes((tmp_path / '0_a.png').read_bytes())
    with pytest.raises(DataError, match='is no CSV file'):
        analyse_metrics(str(tmp_path / 'image.csv'), ['ranker'], str(tmp_path / 'o'))
    code, said = command(good, 'rankr')
    assert (code, "Did you mean 'ranker'?" in said.err) == (2, True)


def test_ladders_are_pairs_with_a_known_order(photographs, tmp_path):
    for number, image in enumerate(photographs[:2]):
        cv2.imwrite(str(tmp_path / f'{number}.png'), image[..., ::-1])
    path = make_ladder_pairs(str(tmp_path), str(tmp_path / 'out'), reduce=1, size_px=64)
    pairs = read_pairs(str(path)).pairs
    assert len(pairs) == 2 * 7 * 15
    assert {pair.source_id for pair in pairs} == {'0', '1'}
    original = cv2.imread(str(tmp_path / 'out/0/original.png')).astype(float)

    def error(file):
        return np.abs(cv2.imread(file) - original).mean()

    for pair in pairs:
        if pair.source_id == '0' and 'noise' in pair.path_a + pair.path_b:
            better, worse = (pair.path_b, pair.path_a) if pair.p_b else (pair.path_a, pair.path_b)
            assert error(better) < error(worse)
    assert 0.3 < np.mean([pair.p_b for pair in pairs]) < 0.7


def test_ladders_of_small_photographs_are_refused(photographs, tmp_path):
    cv2.imwrite(str(tmp_path / '0.png'), photographs[0])
    with pytest.raises(DataError, match='no photograph has 192 x 192 pixels'):
        make_ladder_pairs(str(tmp_path), str(tmp_path / 'out'))


def test_command_takes_scores_that_are_given(monkeypatch, capsys, tmp_path):
    script = project_root() / 'scripts/analyze_metrics.py'
    text = 'path,source_id,mos,mine,niqe\n1a,1,1,3,5\n1b,1,2,1,4\n2a,2,1,2,3\n2b,2,2,4,2\n'
    (tmp_path / 'items.csv').write_text(text)

    def run(*words):
        given = ['-i', f'{tmp_path}/items.csv', '-o', f'{tmp_path}/out', *words]
        monkeypatch.setattr('sys.argv', [script.name, *given])
        with pytest.raises(SystemExit) as caught:
            runpy.run_path(str(script), run_name='__main__')
        return caught.value.code, capsys.readouterr()

    code, said = run('--scores', 'niqe', '--lower_better', 'mine')
    assert code == 0
    assert '| niqe | 1.000 [1.000, 1.000] |' in said.out
    assert '| mine | 0.500 [' in said.out
    code, said = run('--scores', 'mine')
    assert (code, 'mine: no scorer is known by that name' in said.err) == (2, True)
    code, said = run()
    assert (code, 'there is no metric' in said.err) == (2, True)
    code, said = run('--scores', 'niqe', '--votes', 'v.json')
    assert (code, 'belong to the study.json' in said.err) == (2, True)
