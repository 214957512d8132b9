import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import pytest

from iqasr.report import write_report
from iqasr.runtime.errors import DataError

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'make_report.py'


@pytest.fixture
def make_report(monkeypatch, capsys):
    """Run the script in this process; returns exit code, output and message."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['make_report.py', *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPT), run_name='__main__')
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def test_script_writes_page_tables_and_grid(make_report, two_runs, tmp_path):
    code, said, _ = make_report(*two_runs, '-o', tmp_path / 'out' / 'x.html')
    assert code == 0
    assert said.startswith('| pieces | PSNR ↑ | NIQE ↓ |')
    written = {path.name for path in (tmp_path / 'out').iterdir()}
    assert written == {'x.html', 'x.md', 'x.tex', 'x.png'}


def test_script_takes_folders_after_i_and_a_folder_for_the_report(make_report, two_runs, tmp_path):
    code, said, _ = make_report('-i', *two_runs, '-o', tmp_path / 'out')
    assert code == 0
    assert f'{tmp_path / "out"}/report.html' in said
    assert (tmp_path / 'out' / 'report.md').read_text().endswith('![pictures](report.png)\n')


def test_page_is_the_same_every_time_and_loads_nothing(two_runs, tmp_path):
    pages = []
    for name in ('a.html', 'b.html'):
        write_report(two_runs, tmp_path / name)
        pages.append((tmp_path / name).read_text())
    assert pages[0] == pages[1]
    sources = re.findall(r'(?:src|href|url|@import)\s*[=(]?\s*["\']?([^"\'\s>]*)', pages[0])
    kinds = {source[:5] for source in sources if source.startswith(('http', '//', 'data:', 'file'))}
    assert kinds == {'data:'}
    assert "default-src 'none'" in pages[0]


@pytest.mark.parametrize('metrics', [[], ['psnr']], ids=['no metric', 'a metric'])
@pytest.mark.parametrize(
    'kept', [[], ['gt'], ['lq'], ['gt', 'lq']], ids=lambda k: '+'.join(k) or '-'
)
@pytest.mark.parametrize('runs', [1, 2, 5])
def test_report_of_any_number_of_runs_with_whatever_there_is(
    runs, kept, metrics, make_results, tmp_path
):
    folders = [
        make_results(f'run{n}', {'psnr': [20.0 + n, 22.0]}, blotch=40 * n) for n in range(runs)
    ]
    for folder in folders:
        content = json.loads((folder / 'summary.json').read_text())
        of_set = content['sets']['pieces']
        for files in of_set['files'].values():
            for kind in {'gt', 'lq'} - {*kept}:
                del files[kind]
        of_set['means'] = {m: v for m, v in of_set['means'].items() if m in metrics}
        content['better'] = dict.fromkeys(metrics, 'higher')
        (folder / 'summary.json').write_text(json.dumps(content))
        if not metrics:
            (folder / 'pieces.csv').write_text('name\n00\n01\n')
    report = write_report(folders, tmp_path / 'out')
    assert report.missing == []
    columns = runs + ('gt' in kept)
    assert cv2.imread(str(tmp_path / 'out/report.png')).shape[1] == columns * 2 * 128
    assert report.table.count('PSNR') == len(metrics) * min(runs, 2)
    assert report.table.startswith('| pieces |')
    assert all(f'run{n}' in report.page.read_text() for n in range(runs))


def test_report_on_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match='no result folder'):
        write_report([], tmp_path / 'out')


def test_names_are_text_not_markup(make_results, tmp_path):
    evil = '</script><img src=x onerror=alert(1)>'
    folders = [
        make_results(evil, {'psnr': [1.0, 2.0]}, folder='x'),
        make_results('b', {'psnr': [1, 2]}),
    ]
    write_report(folders, tmp_path / 'a.html')
    html = (tmp_path / 'a.html').read_text()
    assert '<img src=x' not in html
    assert html.count('</script>') == 2
    assert '&lt;/script&gt;&lt;img src=x' in html


def test_missing_images_leave_the_tables_and_are_named(make_report, two_runs, tmp_path):
    shutil.rmtree(two_runs[1] / 'visualization')
    code, said, message = make_report(*two_runs, '-o', tmp_path / 'report.html')
    assert code == 2
    assert '| base | 24.500 |' in said
    assert 'other: 10 restored images of pieces' in message
    assert 'val.save_img: true' in message
    assert (tmp_path / 'report.html').is_file()
    assert not (tmp_path / 'report.png').exists()


def test_moved_test_set_is_named_and_the_restored_images_still_come(two_runs, tmp_path):
    shutil.rmtree(tmp_path / 'gt')
    report = write_report(two_runs, tmp_path / 'report.html')
    assert report.missing == [
        f'{tmp_path}/gt/00.png: is missing. Put pieces back where it was tested.'
    ]
    html = report.page.read_text()
    assert 'alt="00: other"' in html
    assert 'alt="00: ground truth"' not in html


def test_test_sets_that_not_all_runs_have_are_left_out_and_named(two_runs, tmp_path):
    summary = json.loads((two_runs[0] / 'summary.json').read_text())
    summary['sets']['more'] = {'means': {}, 'files': {}}
    (two_runs[0] / 'summary.json').write_text(json.dumps(summary))
    page = write_report(two_runs, tmp_path / 'report.html').page
    assert 'base: more is left out' in page.read_text()


@pytest.mark.parametrize('arguments', [['nowhere'], [], ['nowhere', '--quality', '0']])
def test_bad_input_is_exit_code_2_with_a_message(make_report, tmp_path, arguments):
    code, _, message = make_report(*arguments, '-o', tmp_path / 'r.html')
    assert code == 2
    assert 'make_report.py: ' in message
    assert 'Traceback' not in message
