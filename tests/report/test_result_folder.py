import json

import pytest

from iqasr.evaluation.result_folder import read_result_folder, read_result_folders
from iqasr.runtime.errors import DataError


def test_folder_without_summary_is_refused(tmp_path):
    with pytest.raises(DataError, match=r'summary\.json: .*no such file\. .*dataroot_restored'):
        read_result_folder(tmp_path)


@pytest.mark.parametrize('content', ['{', '[]', '{"name": "x"}', '{"name": 1, "better": 2}'])
def test_foreign_summary_is_refused(tmp_path, content):
    (tmp_path / 'summary.json').write_text(content)
    with pytest.raises(DataError, match='is no summary'):
        read_result_folder(tmp_path)


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ('name,psnr\n00,1.0\n01,2.5\n', r'mean of psnr is 1\.75, in the summary 1\.5'),
        ('name,psnr\n00,1.0\n02,2.0\n', 'image 01 is in the summary'),
        ('name,ssim\n00,1.0\n01,2.0\n', 'mean of psnr is nan'),
        ('name,psnr\n00,high\n01,2.0\n', 'is no table'),
        ('psnr\n1\n', 'is no table'),
        ('name,psnr\n00,1.0\n01,2.0\n01,2.0\n', 'an image is there twice'),
    ],
)
def test_table_that_contradicts_the_summary_is_refused(make_results, table, message):
    folder = make_results('a', {'psnr': [1.0, 2.0]})
    (folder / 'pieces.csv').write_text(table)
    with pytest.raises(DataError, match=message):
        read_result_folder(folder).values('pieces')


def test_images_are_found_after_the_folder_was_moved(two_runs, tmp_path):
    moved = two_runs[1].rename(tmp_path / 'moved')
    path = read_result_folder(moved).find_file('pieces', '03', 'output')
    assert path == moved / 'visualization/pieces/03.png'


def test_runs_of_the_same_name_are_told_apart(make_results):
    folders = [make_results('a', {'psnr': [1.0]}, folder=f'f{n}') for n in range(2)]
    assert [r.name for r in read_result_folders(folders)] == [f'a ({folder})' for folder in folders]


def test_further_entries_of_a_summary_are_passed_over(make_results):
    folder = make_results('a', {'psnr': [1.0]}, version=2)
    assert json.loads((folder / 'summary.json').read_text())['version'] == 2
    assert read_result_folder(folder).name == 'a'
