"""The page in a real browser, in the hands of a scripted rater."""

import base64
import json
import runpy
import sys
from pathlib import Path

import pytest

from iqasr.user_study import Design, make_study

METHODS = ('fine_net', 'soft_net', 'dull_net')


class Rater:
    """Prefers methods in a known order, and anything to what was blurred once more.

    Knows the methods behind the images by their bytes, since the page does not tell.
    """

    def __init__(self, page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.methods = {
            path.read_bytes(): METHODS.index(path.parent.name)
            for path in (folder / 'crops').glob('*/*.png')
        }

    def open(self, rater: str | None = None) -> None:
        self.page.goto(f'file://{self.folder}/study.html')
        if rater is not None:
            self.page.fill('#rater', rater)
            self.page.click('#start button')
        self.page.wait_for_selector('#panes:not(.waiting)')

    def images(self) -> list[bytes]:
        self.page.wait_for_selector('#panes:not(.waiting)')
        sources = self.page.eval_on_selector_all('.shown', 'all => all.map((one) => one.src)')
        return [base64.b64decode(source.split(',')[1]) for source in sources]

    def better(self) -> str:
        ranks = [self.methods.get(image, len(METHODS)) for image in self.images()]
        return 'left' if ranks[0] < ranks[1] else 'right'

    def place(self) -> str:
        return self.page.inner_text('#place')

    def download(self, path: Path) -> dict:
        with self.page.expect_download() as download:
            self.page.click('#download')
        download.value.save_as(path)
        return json.loads(path.read_text(encoding='utf-8'))


@pytest.fixture
def rater(page, study, tmp_path):
    return Rater(page, tmp_path)


@pytest.fixture
def analyze_study(monkeypatch):
    """Run the script in this process; returns its exit code."""

    def run(*words) -> int:
        script = str(Path(__file__).parents[2] / 'scripts/analyze_study.py')
        monkeypatch.setattr(sys, 'argv', [script, *map(str, words)])
        try:
            runpy.run_path(script, run_name='__main__')
        except SystemExit as ended:
            return ended.code
        return 0

    return run


def test_from_click_to_strength_table(rater, study, analyze_study, tmp_path, capsys):
    page, names = rater.page, ('1', '2')
    for name in names:
        rater.open(name)
        seen = []
        for number in range(1, 10):  # 5 pairs, 2 of them again, 2 catch trials
            assert rater.place() == f'{number} of 9'
            if number == 4:  # the page is closed, and opened again
                images = rater.images()
                page.wait_for_timeout(3000)  # the browser takes a moment to keep what is stored
                rater.open()
                assert (rater.place(), rater.images()) == ('4 of 9', images)
            seen.append(rater.images())
            if number == 6:
                page.keyboard.press('ArrowLeft' if rater.better() == 'right' else 'ArrowRight')
                page.keyboard.press('Backspace')  # a slip, taken back
                assert rater.place() == '6 of 9'
                assert rater.images() == seen[-1]
            if number % 2:
                page.click(f'#{rater.better()}')
            else:
                page.keyboard.press(f'Arrow{rater.better().title()}')
        mirrored = [images for images in seen if images[::-1] in seen]
        assert len(mirrored) == 4  # two questions and their repeats
        votes = rater.download(tmp_path / f'votes_{name}.json')
        assert (votes['study'], votes['rater'], len(votes['votes'])) == (study.study, name, 9)
        page.click('#next')

    files = [tmp_path / f'votes_{name}.json' for name in names]
    assert analyze_study(tmp_path / 'study.json', *files, '-o', tmp_path / 'out') == 0
    assert capsys.readouterr().out.splitlines()[6].startswith('| fine_net | +')
    found = json.loads((tmp_path / 'out/summary.json').read_text())
    assert [s['method'] for s in found['strengths']] == list(METHODS)
    assert [p['rate']['rate'] for p in found['preferences']] == [1, 1, 1]
    assert [r['reliability'] for r in found['raters']] == 2 * [
        {'caught': 2, 'catch': 2, 'consistent': 2, 'repeats': 2}
    ]
    assert (tmp_path / 'out/strengths.png').stat().st_size > 1000


def test_no_vote_is_lost_when_the_page_is_open_twice(rater, tmp_path):
    rater.open('1')
    with rater.page.expect_popup() as popup:
        rater.page.evaluate('void window.open(location.href)')
    other = Rater(popup.value, tmp_path)
    other.images()
    other.page.evaluate("begin('2')")
    for _ in range(2):
        rater.images()
        rater.page.click('#left')
    other.images()
    other.page.click('#left')
    assert rater.place() == '3 of 9'
    rater.page.wait_for_timeout(500)
    raters = rater.page.evaluate('JSON.parse(localStorage.getItem(storageKey)).raters')
    assert {name: len(own['votes']) for name, own in raters.items()} == {'1': 2, '2': 1}

    other.page.evaluate("begin('1')")  # the same rater in both
    other.images()
    assert other.place() == '3 of 9'
    other.page.click('#left')
    other.page.wait_for_timeout(500)
    rater.page.click('#right')  # on a question that is answered: shows the next one
    assert rater.place() == '4 of 9'
    rater.images()
    rater.page.click('#right')
    assert rater.place() == '5 of 9'
    votes = rater.page.evaluate("JSON.parse(localStorage.getItem(storageKey)).raters['1'].votes")
    assert [vote['side'] for vote in votes] == ['left', 'left', 'left', 'right']


def test_votes_of_another_study_end_the_command_with_2(analyze_study, study, tmp_path, capsys):
    votes = {'study': 'another', 'rater': '1', 'started': '', 'votes': []}
    (tmp_path / 'votes.json').write_text(json.dumps(votes))
    code = analyze_study(tmp_path / 'study.json', tmp_path / 'votes.json', '-o', tmp_path / 'out')
    assert code == 2
    assert f'votes of study another, but this is study {study.study}' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def schedule_of(rater, name):
    return rater.page.evaluate(
        'name => scheduleOf(name).map((one) => [one.trial.key, one.aFirst, one.repeat])', name
    )


def test_order_and_side_belong_to_the_rater(rater, study):
    rater.open('1')
    assert schedule_of(rater, 'ann') == schedule_of(rater, 'ann')
    assert schedule_of(rater, 'ann') != schedule_of(rater, 'bob')
    sides = [first for i in range(40) for _, first, _ in schedule_of(rater, f'r{i}')]
    assert 0.4 < sum(sides) / len(sides) < 0.6


def test_numbered_raters_are_asked_all_questions_equally_often(rater, study):
    rater.open('1')
    asked = [
        key
        for number in range(9)
        for key, _, repeat in schedule_of(rater, f'rater {number}')
        if not repeat and key in study.items
    ]
    assert len(study.items) == 9
    assert [asked.count(key) for key in study.items] == [5] * 9


def test_repeats_come_later_on_the_other_side(rater):
    rater.open('1')
    for number in range(10):
        asked = schedule_of(rater, f'rater {number}')
        again = [(i, key, first) for i, (key, first, repeat) in enumerate(asked) if repeat]
        assert len(again) == 2
        for place, key, first in again:
            assert asked.index([key, not first, False]) < place


def geometry(page):
    return page.eval_on_selector_all(
        '.pane',
        """panes => panes.map((pane) => {
            const box = pane.querySelector('.shown').getBoundingClientRect();
            const outer = pane.getBoundingClientRect();
            return [box.left - outer.left, box.top - outer.top, box.width];
        })""",
    )


def test_zoom_and_pan_keep_both_images_together_and_pixels_whole(rater):
    page = rater.page
    rater.open('1')
    before = geometry(page)
    assert before[0] == before[1]
    assert before[0][2] % 48 == 0
    box = page.locator('.pane').first.bounding_box()
    pointer = (box['x'] + 200, box['y'] + 300)
    page.mouse.move(*pointer)
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.getElementById('times').textContent === '2'")
    zoomed = geometry(page)
    assert zoomed[0] == zoomed[1]
    assert zoomed[0][2] == 2 * before[0][2]
    # What was under the pointer still is, up to the rounding to whole pixels.
    assert zoomed[0][0] - 200 == pytest.approx(2 * (before[0][0] - 200), abs=1)
    page.mouse.down()
    page.mouse.move(pointer[0] + 30, pointer[1] - 20)
    page.mouse.up()
    moved = geometry(page)
    assert moved[0] == moved[1]
    assert moved[0][0] - zoomed[0][0] == pytest.approx(30, abs=1)
    page.keyboard.press('0')
    assert geometry(page) == before


def test_answers_are_not_taken_at_once(page, method_folders, tmp_path):
    folders = [str(method_folders / name) for name in METHODS]
    make_study(folders, str(tmp_path), Design(crop_px=48, min_seconds=60))
    rater = Rater(page, tmp_path)
    rater.open('1')
    page.keyboard.press('ArrowLeft')
    page.click('#right', force=True)
    assert rater.place().startswith('1 of')


def test_reference_shows_while_space_is_held(page, method_folders, tmp_path):
    folders = [str(method_folders / name) for name in METHODS]
    design = Design(crop_px=48, show_reference=True, min_seconds=0)
    make_study(folders, str(tmp_path), design, str(method_folders / 'gt'))
    rater = Rater(page, tmp_path)
    rater.open('1')
    page.keyboard.down(' ')
    assert page.locator('.reference:visible').count() == 2
    assert page.locator('.shown:visible').count() == 0
    page.keyboard.up(' ')
    assert page.locator('.reference:visible').count() == 0


@pytest.mark.parametrize('viewport', [(390, 844), (844, 390), (1280, 900)])
def test_nothing_is_cut_off(rater, viewport):
    page = rater.page
    page.set_viewport_size(dict(zip(('width', 'height'), viewport, strict=True)))
    page.goto(f'file://{rater.folder}/study.html')
    fits = 'document.documentElement.scrollWidth <= window.innerWidth'
    assert page.evaluate(fits)
    rater.open('1')
    assert page.evaluate(fits)
    for selector in ('#left', '#right', '#undo', '.pane >> nth=1'):
        box = page.locator(selector).bounding_box()
        assert box['y'] >= 0
        assert box['y'] + box['height'] <= viewport[1]
        assert box['x'] + box['width'] <= viewport[0]


def test_choices_are_equally_large(rater):
    rater.page.set_viewport_size({'width': 390, 'height': 844})
    rater.open('1')
    left, right = (rater.page.locator(s).bounding_box() for s in ('#left', '#right'))
    assert left['width'] == pytest.approx(right['width'], abs=1)
    assert left['height'] == right['height'] >= 44
