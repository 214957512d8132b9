"""The page in a real browser."""

import numpy as np
import pytest

from iqasr.report import write_report


@pytest.fixture
def report(page, two_runs, tmp_path):
    """The page of two runs, opened."""
    write_report(two_runs, tmp_path / 'report.html')
    requests = []
    page.on('request', lambda request: requests.append(request.url))
    page.goto((tmp_path / 'report.html').as_uri())
    yield page
    assert [url for url in requests if not url.startswith(('file:', 'data:'))] == []


def column(page, index):
    """Numbers of the visible rows of the table of images."""
    rows = page.locator('.images tbody tr:visible')
    texts = rows.evaluate_all(f'rows => rows.map(row => row.cells[{index}].textContent)')
    return [float(text) if text.strip() else None for text in texts]


def test_click_on_a_heading_sorts_up_then_down_with_empty_cells_last(report):
    heading = report.get_by_role('button', name='Δ PSNR', exact=True)
    assert column(report, 3)[:4] == [None, 4, None, 9]
    heading.click()
    assert column(report, 3) == [*range(1, 11), *[None] * 10]
    heading.click()
    assert column(report, 3) == [*range(10, 0, -1), *[None] * 10]
    assert report.locator('[aria-sort=descending]').inner_text().startswith('Δ PSNR')


def test_sorting_works_from_the_keyboard(report):
    report.get_by_role('button', name='Δ PSNR', exact=True).press('Enter')
    assert column(report, 3)[:3] == [1, 2, 3]


def test_one_run_alone_can_be_shown(report):
    report.locator('[name=shown]').select_option('other')
    assert len(column(report, 2)) == 10
    report.locator('[name=shown]').select_option('all')
    assert len(column(report, 2)) == 20


def test_extremes_are_those_with_the_smallest_and_largest_gain(report):
    worst, best = report.locator('.extremes > div').all()
    assert [t.split()[1] for t in worst.locator('li').all_inner_texts()] == [
        '+1.0000',
        '+2.0000',
        '+3.0000',
    ]
    assert [t.split()[1] for t in best.locator('li').all_inner_texts()] == [
        '+10.0000',
        '+9.0000',
        '+8.0000',
    ]
    report.locator('[name=metric]').select_option(label='NIQE ↓')
    assert 'Δ NIQE ↓' in worst.page.locator('.extremes').inner_text()


def test_axes_of_the_plot_can_be_chosen(report):
    chart = report.locator('.tradeoff svg')
    assert chart.get_attribute('aria-label') == 'NIQE ↓ against PSNR ↑'
    report.locator('[name=x]').select_option(label='NIQE ↓')
    assert chart.get_attribute('aria-label') == 'NIQE ↓ against NIQE ↓'
    circles = chart.locator('circle').evaluate_all('all => all.map(c => +c.getAttribute("cx"))')
    assert circles[0] > circles[1]  # drawn from the top: 5.5 first, right of 5


@pytest.fixture
def viewer(report):
    """The viewer on the first view of the first image."""
    report.locator('.pictures .compare').first.click()
    return report.locator('#viewer')


def style(viewer, pane, name):
    return viewer.locator('.pane').nth(pane).evaluate(f'pane => getComputedStyle(pane).{name}')


def test_slider_moves_the_boundary_between_two_versions(viewer):
    assert style(viewer, 1, 'clipPath') == 'inset(0px 0px 0px 50%)'
    viewer.locator('[name=split]').fill('20')
    assert style(viewer, 1, 'clipPath') == 'inset(0px 0px 0px 20%)'
    sources = viewer.locator('.pane img').evaluate_all('all => all.map(image => image.src)')
    assert sources[0] != sources[1]
    viewer.locator('[name=right]').select_option('base')
    assert viewer.locator('.pane img').nth(1).get_attribute('src') == sources[0]


def test_zoom_and_move_are_the_same_in_both_panes(viewer):
    viewer.locator('[name=beside]').check()
    assert style(viewer, 1, 'clipPath') == 'none'
    before = viewer.locator('.pane img').first.get_attribute('style')
    viewer.locator('.stage').press('+')
    viewer.locator('.stage').press('ArrowRight')
    left, right = viewer.locator('.pane img').evaluate_all('all => all.map(i => i.style.transform)')
    assert left == right
    assert left not in before
    viewer.page.keyboard.press('Escape')
    assert not viewer.is_visible()


def test_drag_moves_the_image(viewer):
    stage, image = viewer.locator('.stage').bounding_box(), viewer.locator('.pane img').first
    start = image.bounding_box()
    x, y = stage['x'] + stage['width'] / 2, stage['y'] + stage['height'] / 2
    viewer.page.mouse.move(x, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(x + 30, y + 20)
    viewer.page.mouse.up()
    end = image.bounding_box()
    assert (end['x'] - start['x'], end['y'] - start['y']) == pytest.approx((30, 20), abs=1)


def test_phone_scrolls_down_only(page, make_results, tmp_path):
    names = [f'a_run_whose_name_is_longer_than_a_phone_is_wide_{n}' for n in 'ab']
    options = {'path': {'root': '/folder' * 20}}
    values = {'psnr': [1.0, 2.0], 'niqe': [1.0, 2.0], 'detail': [1.0, 2.0]}
    folders = [make_results(n, values, blotch=i, options=options) for i, n in enumerate(names)]
    write_report(folders, tmp_path / 'report.html')
    page.set_viewport_size({'width': 390, 'height': 844})
    page.goto((tmp_path / 'report.html').as_uri())
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    assert page.locator('.means').evaluate('table => table.offsetWidth') > 390
    page.locator('.pictures .compare').first.click()
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    box = page.locator('#viewer').bounding_box()
    assert box['x'] >= 0
    assert box['width'] <= 390


def test_text_stands_out_from_the_page_in_both_schemes(report):
    for scheme in ('light', 'dark'):
        report.emulate_media(color_scheme=scheme)
        texts = [
            report.evaluate(f'getComputedStyle(document.body).{n}')
            for n in ('color', 'backgroundColor')
        ]
        text, ground = (np.array(t[4:-1].split(','), float).mean() for t in texts)
        assert abs(text - ground) > 150


def test_print_shows_all_rows_and_no_controls(report):
    report.emulate_media(media='print')
    assert report.locator('select:visible, .compare:visible, nav:visible').count() == 0
    assert len(column(report, 2)) == 20
    styles = (
        "all => all.map(e => getComputedStyle(e).overflow + ' ' + getComputedStyle(e).maxHeight)"
    )
    cut = report.locator('.scroll').evaluate_all(styles)
    assert set(cut) == {'visible none'}
    assert report.locator('.tradeoff svg').is_visible()


def test_training_curves_are_drawn(page, make_results, tmp_path):
    from iqasr.evaluation.history import log_scalars
    from iqasr.training.run_log import open_board

    models = tmp_path / 'experiments' / 'run' / 'models'
    models.mkdir(parents=True)
    board = open_board(tmp_path / 'tb_logger' / 'run', 0, None, 'run')
    for iteration in range(5):
        log_scalars(board, {'losses/l_pix': 1.0, 'lr': iteration / 10}, iteration)
    board.close()
    options = {'path': {'pretrain_network_g': str(models / 'net_g_4.pth')}}
    folder = make_results('a', {'psnr': [1.0, 2.0]}, options=options)
    write_report([folder], tmp_path / 'report.html')
    page.goto((tmp_path / 'report.html').as_uri())
    page.locator('[name=tag]').select_option('lr')
    points = page.locator('.curves polyline').get_attribute('points').split()
    heights = [float(point.split(',')[1]) for point in points]
    assert len(points) == 5
    assert np.diff(heights) == pytest.approx([np.diff(heights)[0]] * 4, abs=0.2)
    assert heights[0] > heights[-1]
