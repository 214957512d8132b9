import codecs
import math

import pytest
import torch

from iqasr.data.files.journal import open_journal
from iqasr.data.scores.quality_rows import HEADER, QualityRow, as_csv, read_rows, write_rows
from iqasr.data.scores.quality_table import QualityTable


def row(key, candidate, quality, scorer='niqe', version='1'):
    return QualityRow(key, candidate, scorer, version, 'abc', quality, -20.0, 0.0)


ROWS = [
    row('a', 'original', -4.25),
    row('a', '01', 0.1 + 0.2),
    row('a', '02', math.nan),
    row('b, "c"', 'original', math.nan),
    row('b, "c"', '01', torch.tensor(-1 / 3).item()),
]


@pytest.fixture
def path(tmp_path):
    write_rows(tmp_path / 'quality.csv', ROWS)
    return tmp_path / 'quality.csv'


def test_rows_return_exactly(path):
    assert repr(read_rows(path)) == repr(ROWS)
    assert list(path.parent.iterdir()) == [path]


def test_byte_order_mark_of_a_spreadsheet_is_passed_over(path):
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert repr(read_rows(path)) == repr(ROWS)


def test_lookup_gives_one_row_of_quality_in_the_order_asked_for(path):
    table = QualityTable.read(str(path))
    names = ['01', 'original', '02']
    expected = pytest.approx([0.3, -4.25, math.nan], nan_ok=True)
    assert table.rows('a', names)[0].tolist() == expected
    assert torch.equal(table.rows('b, "c"', ['original', '01'])[0, 1], torch.tensor(-1 / 3))
    assert (table.scorer, table.version, table.score_range) == ('niqe', '1', (-20.0, 0.0))


def test_moments_are_over_the_finite_quality(path):
    table, finite = QualityTable.read(str(path)), [-4.25, 0.3, -1 / 3]
    mean = sum(finite) / 3
    assert table.mean == pytest.approx(mean)
    assert table.std == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in finite) / 3))


@pytest.mark.parametrize(
    ('key', 'names', 'scored'),
    [
        ('a', ['original', '01', '02', '03'], 'original, 01, 02'),
        ('a', ['original', '01'], 'original, 01, 02'),
        ('a', ['original', '01', '2'], 'original, 01, 02'),
        ('z', ['original', '01'], 'none'),
    ],
)
def test_other_candidates_than_were_scored_are_refused_with_the_command(path, key, names, scored):
    reason = rf"'{key}' are {', '.join(names)}, but {scored} were scored\. .*py .* -o {path}"
    with pytest.raises(ValueError, match=reason):
        QualityTable.read(str(path)).rows(key, names)


def test_missing_table_is_refused_with_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'scripts/score_candidates.py .*--scorer musiq'):
        QualityTable.read(str(tmp_path / 'none.csv'), 'musiq')


def test_scorer_is_found_among_several(path):
    write_rows(path, [*ROWS, row('a', 'original', 60.0, scorer='musiq')])
    assert QualityTable.read(str(path), 'musiq').rows('a', ['original'])[0].tolist() == [60.0]
    with pytest.raises(ValueError, match=r'several scorers\. Name one of: musiq, niqe'):
        QualityTable.read(str(path))
    with pytest.raises(ValueError, match=r"'musik'\. Did you mean 'musiq'\?"):
        QualityTable.read(str(path), 'musik')


def test_mixed_versions_are_refused(path):
    write_rows(path, [*ROWS, row('z', 'original', 1.0, version='2')])
    with pytest.raises(ValueError, match="several versions of 'niqe': 1, 2"):
        QualityTable.read(str(path))


@pytest.mark.parametrize('lost', [1, 5, 20])
def test_cut_last_line_is_left_out_and_rewritten(path, lost):
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    assert repr(read_rows(path)) == repr(ROWS[:-1])
    with open_journal(path, HEADER) as journal:
        journal.write(as_csv(ROWS[-1:]))
    assert path.read_bytes() == whole


def test_cut_header_is_rewritten(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:7])
    assert read_rows(path) == []
    with open_journal(path, HEADER) as journal:
        journal.write(as_csv(ROWS))
    assert path.read_bytes() == whole


def test_rows_are_on_the_disk_before_the_journal_closes(tmp_path):
    with open_journal(tmp_path / 'part.csv', HEADER) as journal:
        journal.write(as_csv(ROWS[:2]))
        assert read_rows(tmp_path / 'part.csv') == ROWS[:2]


def test_other_files_are_refused(path):
    path.write_text('a,b\n1,2\n')
    with pytest.raises(ValueError, match=r'not a quality table; its first line should be key,'):
        read_rows(path)


def test_broken_line_is_named(path):
    path.write_text(path.read_text().replace('-4.25', 'good'))
    with pytest.raises(ValueError, match=r'line 2 is no line of a quality table .*good'):
        read_rows(path)


@pytest.mark.parametrize('column', ['quality', 'range_low', 'range_high'])
def test_a_number_that_no_scorer_gives_is_refused(column, path):
    wrong = math.inf if column == 'quality' else math.nan
    write_rows(path, [ROWS[0], ROWS[1]._replace(**{column: wrong})])
    with pytest.raises(ValueError, match=f'line 3 is no line of a quality table .*{wrong}'):
        QualityTable.read(str(path))


def test_a_range_may_be_open(path):
    write_rows(path, [r._replace(range_low=-math.inf, range_high=math.inf) for r in ROWS])
    assert QualityTable.read(str(path)).score_range == (-math.inf, math.inf)


@pytest.mark.parametrize(
    'change', [{'quality': -4.5}, {'quality': math.nan}, {'content_hash': 'd'}]
)
def test_two_scores_of_one_image_are_refused_and_the_same_twice_is_not(change, path):
    write_rows(path, [*ROWS, *ROWS])
    assert QualityTable.read(str(path)).rows('a', ['original', '01', '02'])[0, 0] == -4.25
    write_rows(path, [*ROWS, ROWS[0]._replace(**change)])
    reason = r"candidate 'original' of 'a' has two scores: -4\.25 of file abc, and "
    with pytest.raises(ValueError, match=reason):
        QualityTable.read(str(path))
