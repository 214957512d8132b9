from iqasr.evaluation.result_folder import read_result_folders
from iqasr.report import LATEX, MARKDOWN, compare_runs


def tables(make_results, markup, names=('a', 'b')):
    folders = [
        make_results(name, {'psnr': [v, v], 'detail': [v, v + 2]}, folder=str(n), dataset='s')
        for n, (name, v) in enumerate(zip(names, (1.0, 2.0), strict=True))
    ]
    return markup.tables(compare_runs(read_result_folders(folders)))


def test_markdown_marks_the_best_but_none_without_direction(make_results):
    assert tables(make_results, MARKDOWN).splitlines() == [
        '| s | PSNR ↑ | DETAIL |',
        '|---|---|---|',
        '| a | 1.000 | 2.000 |',
        '| b | **2.000** | 3.000 |',
        '',
        '| s, 2 images | PSNR ↑ | DETAIL |',
        '|---|---|---|',
        '| b - a | **+1.0000** [+1.0000, +1.0000] | **+1.0000** [+1.0000, +1.0000] |',
    ]


def test_latex_has_the_same_numbers_between_rules(make_results):
    lines = tables(make_results, LATEX, ('50%_a', '[b]')).splitlines()
    assert lines[:8] == [
        r'\begin{tabular}{lrr}',
        r'\toprule',
        r's & PSNR $\uparrow$ & DETAIL \\',
        r'\midrule',
        r'50\%\_a & 1.000 & 2.000 \\',
        r'{[}b{]} & \textbf{2.000} & 3.000 \\',
        r'\bottomrule',
        r'\end{tabular}',
    ]


def test_names_cannot_break_a_markdown_table(make_results):
    lines = tables(make_results, MARKDOWN, ('a|b', '*b*\nc')).splitlines()
    assert lines[2].startswith(r'| a\|b | ')
    assert lines[3].startswith(r'| \*b\* c | ')
