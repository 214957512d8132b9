"""The rows of the paper: their files, what is found of them on a disk, and the table."""

import json
import math
import shutil
from pathlib import Path

import pytest

from iqasr.checking.check import load_options
from iqasr.data.candidates.hggt import ANNOTATORS, write_votes
from iqasr.data.scores.quality_rows import QualityRow, write_rows
from iqasr.report.paper import (
    DOWNLOAD,
    GOLD_STANDARD,
    PAPER_METRICS,
    PUBLISHED,
    find_status,
    measure_gold_standard,
    paper_rows,
    paper_table,
)
from iqasr.runtime.errors import OptionError
from iqasr.sampling.labels import Label

REPOSITORY = Path(__file__).parents[2]
ROWS = {row.title: row for row in paper_rows()}
TEST_GT = 'datasets/HGGT/Test/GT/Test-100'
TEST_LQ = 'datasets/HGGT/Test/Blind_Degradation_Benchmark_LQ/Test-100/Blind_LR'


@pytest.fixture
def disk(tmp_path):
    """A project with its option files and nothing else."""
    shutil.copytree(REPOSITORY / 'options', tmp_path / 'options')
    return tmp_path


def make_data(disk):
    for folder in ('datasets/HGGT/Train', TEST_GT, TEST_LQ):
        (disk / folder).mkdir(parents=True)


def make_weights(disk, name):
    path = disk / f'experiments/{name}/models/net_g_latest.pth'
    path.parent.mkdir(parents=True)
    path.touch()


def make_summary(disk, name, dataset='Test-100', **means):
    path = disk / f'results/{name}_test100/summary.json'
    path.parent.mkdir(parents=True)
    better = {m: PAPER_METRICS[m].better if m in PAPER_METRICS else 'higher' for m in means}
    sets = {dataset: {'means': means, 'files': {}}}
    path.write_text(json.dumps({'name': name, 'better': better, 'sets': sets}))
    return path


def line_of(table, title):
    return next(line for line in reversed(table.splitlines()) if line.startswith(f'| {title} |'))


@pytest.mark.parametrize('row', ROWS.values(), ids=ROWS)
def test_a_row_is_one_option_file_that_starts_from_an_earlier_row(row):
    options = load_options(REPOSITORY / row.option_file)
    assert options.name == row.name
    before = options.path.pretrain_network_g
    earlier = list(ROWS.values())[: list(ROWS.values()).index(row)]
    own = {f'experiments/{r.name}/models/net_g_latest.pth' for r in earlier}
    assert before in own if before else 'pretrain' in row.name


@pytest.mark.parametrize('backbone', ['rrdb', 'swinir'])
def test_the_test_has_the_network_of_the_rows_and_the_columns_of_the_table(backbone):
    test = load_options(REPOSITORY / f'options/paper/{backbone}_test100_x4.yml', phase='test')
    rows = [row for row in ROWS.values() if row.name.startswith(backbone)]
    assert {row.test_file for row in rows} == {f'options/paper/{backbone}_test100_x4.yml'}
    assert all(
        load_options(REPOSITORY / row.option_file).network_g == test.network_g for row in rows[:1]
    )
    assert PAPER_METRICS.keys() <= {*test.val.metrics, *test.val.panel}
    borders = {metric['crop_border'] for metric in test.val.metrics.values()}
    assert borders | {test.val.panel_crop_border} == {4}


def test_every_published_row_is_ours_too():
    assert PUBLISHED.keys() <= {*ROWS, GOLD_STANDARD}


@pytest.mark.parametrize(
    ('title', 'figures'),
    [
        ('SwinIR-UPos', '22.30 0.129 66.39 5.16 3.56 0.62'),
        ('SwinIR-AMO', '22.08 0.124 68.08 5.21 3.67 0.66'),
        ('SwinIR-AMO+FT', '21.77 0.121 70.81 5.29 3.75 0.70'),
        (GOLD_STANDARD, '- - 69.64 5.28 3.78 0.69'),
        ('RESRGAN-UPos', '21.54 0.192 65.93 5.25 3.47 0.63'),
        ('RESRGAN-AMO+FT', '21.02 0.169 71.67 5.35 3.68 0.71'),
    ],
)
def test_published_figures_stand_in_the_table(disk, title, figures):
    shown = ['-' if f == '-' else f'- ({f})' for f in figures.split()]
    assert line_of(paper_table(disk), title) == f'| {title} | {" | ".join(shown)} |'


def test_status_follows_what_is_on_the_disk(disk):
    row = ROWS['SwinIR-AMO']

    def found():
        s = find_status(row, disk)
        return (s.data, s.start, s.trained, bool(s.figures)), s.next_step

    assert found() == ((False, False, False, False), DOWNLOAD)
    make_data(disk)
    assert found() == ((True, False, False, False), 'train swinir_pretrain_x4 first')
    make_weights(disk, 'swinir_pretrain_x4')
    train = 'python iqasr/train.py -opt options/train/swinir_amo_x4.yml --auto_resume'
    assert found() == ((True, True, False, False), train)
    make_weights(disk, 'swinir_amo_x4')
    test = (
        'python iqasr/test.py -opt options/paper/swinir_test100_x4.yml --checkpoints '
        'experiments/swinir_amo_x4/models/net_g_latest.pth --force_yml name=swinir_amo_x4_test100'
    )
    assert found() == ((True, True, True, False), test)
    make_summary(disk, 'swinir_amo_x4', psnr=22.0)
    assert found() == ((True, True, True, True), '')


def test_softmax_wants_its_table_before_it_trains(disk):
    make_data(disk)
    make_weights(disk, 'rrdb_pretrain_x4')
    score = 'python scripts/score_candidates.py -i datasets/HGGT/Train --scorer musiq'
    assert find_status(ROWS['RESRGAN-SMA'], disk).next_step == score
    (disk / 'datasets/HGGT/Train/quality_musiq.csv').touch()
    assert 'rrdb_sma_x4.yml' in find_status(ROWS['RESRGAN-SMA'], disk).next_step


def test_figures_stand_beside_the_published_ones(disk):
    make_summary(disk, 'swinir_amo_x4', psnr=22.314, stlpips=0.1236, musiq=math.nan, other=1.0)
    make_summary(disk, 'swinir_sma_x4', psnr=21.5)
    table = paper_table(disk)
    shown = '22.31 (22.08) | 0.124 (0.124) | - (68.08) | - (5.21) | - (3.67) | - (0.66)'
    assert line_of(table, 'SwinIR-AMO') == f'| SwinIR-AMO | {shown} |'
    assert line_of(table, 'SwinIR-SMA') == '| SwinIR-SMA | 21.50 | - | - | - | - | - |'
    assert 'PSNR ↑ | LPIPS-ST ↓ | MUSIQ ↑ | NIMA ↑ | Q-Align ↑ | TOPIQ ↑' in table


@pytest.mark.parametrize('content', ['{', '[]', '{"name": "x", "better": {}, "sets": {"a": 1}}'])
def test_foreign_summary_counts_as_not_evaluated(disk, content, caplog):
    make_summary(disk, 'swinir_amo_x4', psnr=1.0).write_text(content)
    assert not find_status(ROWS['SwinIR-AMO'], disk).figures
    assert 'swinir_amo_x4_test100: not used' in caplog.text


def test_missing_option_file_is_named(disk):
    (disk / 'options/train/swinir_sma_x4.yml').unlink()
    with pytest.raises((OptionError, OSError), match='swinir_sma_x4'):
        paper_table(disk)


def test_gold_standard_is_the_mean_over_positives_then_images(disk):
    assert measure_gold_standard(disk).next_step == DOWNLOAD
    judged = {'a': ('POSITIVE', 'POSITIVE'), 'b': ('NEGATIVE', 'POSITIVE')}
    quality = {'a': (1, 60, 70), 'b': (2, 10, 55)}
    root = disk / TEST_GT
    for name, labels in judged.items():
        for folder, ending in (('original', ''), ('01', '_01'), ('02', '_02')):
            (root / 'images' / folder).mkdir(parents=True, exist_ok=True)
            (root / f'images/{folder}/{name}{ending}.png').touch()
        for who in ANNOTATORS:
            (root / 'labels' / who).mkdir(parents=True, exist_ok=True)
            votes = {v: Label[one] for v, one in zip(('01', '02'), labels, strict=True)}
            write_votes(str(root / f'labels/{who}/{name}.json'), name, votes)
    score = f'python scripts/score_candidates.py -i {TEST_GT} --scorer'
    assert measure_gold_standard(disk).next_step == f'{score} musiq'
    rows = [
        QualityRow(name, candidate, 'musiq', '1', '', value, 0, 100)
        for name, values in quality.items()
        for candidate, value in zip(('original', '01', '02'), values, strict=True)
    ]
    write_rows(root / 'quality_musiq.csv', rows)
    status = measure_gold_standard(disk)
    assert status.figures == {'musiq': (65 + 55) / 2}
    assert status.next_step == f'{score} nima'


def test_broken_quality_table_is_named(disk, caplog):
    (disk / TEST_GT / 'images/original').mkdir(parents=True)
    (disk / TEST_GT / 'quality_nima.csv').write_text('nothing\n')
    assert measure_gold_standard(disk).figures == {}
    assert 'no gold standard' in caplog.text
