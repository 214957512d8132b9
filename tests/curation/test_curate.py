"""A folder of photographs, from its files to the option file that trains on the best tiles."""

import csv

import cv2
import pytest

from iqasr.curation import curate_from_words
from iqasr.data.build import build_dataset
from iqasr.data.files.image_files import decode_rgb
from iqasr.quality import RankerScorer
from iqasr.runtime.errors import DataError, OptionError

TILE = 48


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


@pytest.fixture
def source(photographs, tmp_path):
    """Four photographs, a smaller copy and a flip of one, a broken and a small file."""
    folder = tmp_path / 'photographs'
    for name, image in zip(['a b', 'c', 'sub/d', 'sub/e'], photographs[::3], strict=True):
        save(folder / f'{name}.png', image)
    save(folder / 'copy.jpg', cv2.resize(photographs[0], (72, 72), interpolation=cv2.INTER_AREA))
    save(folder / 'flip.png', photographs[0][:, ::-1])
    save(folder / 'tiny.png', photographs[0][:40])
    (folder / 'broken.png').write_bytes((folder / 'c.png').read_bytes()[:2000])
    (folder / '.hidden.png').write_bytes(b'')
    return folder


def rows_of(target):
    with (target / 'curation.csv').open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


@pytest.fixture
def curate(caplog):
    """Curate by the ranker; returns the last line, and what is left out."""
    caplog.set_level('INFO')

    def run(source, target, *limits, **options):
        caplog.clear()
        left_out = curate_from_words(
            str(source), str(target), ['ranker'], limits, tile_px=TILE, cpu=True, **options
        )
        [summary] = [r.message for r in caplog.records if 'tiles stay' in r.message]
        return summary, left_out

    return run


@pytest.fixture
def curated(source, tmp_path, curate):
    target = tmp_path / 'curated'
    return target, *curate(source, target, best_share=0.5)


def test_every_file_is_accounted_for(curated):
    target, summary, left_out = curated
    [complaint] = left_out
    assert 'broken.png' in complaint
    status = {row['photograph'].rpartition('/')[2]: row['status'] for row in rows_of(target)[:3]}
    assert status == {
        'broken.png': 'unreadable',
        'copy.jpg': 'near-duplicate',
        'tiny.png': 'small',
    }
    assert '8 photographs: 1 unreadable, 1 small, 1 near-duplicate. 10 of 20 tiles stay' in summary
    for picture in ('stays.png', 'goes.png', 'histogram.png'):
        assert cv2.imread(str(target / picture)).std() > 10


def test_the_best_stay_as_they_lie_in_the_photograph(curated, source):
    target = curated[0]
    tiles = [row for row in rows_of(target) if row['tile']]
    stay = sorted(float(row['ranker']) for row in tiles if row['status'] == 'stays')
    go = [float(row['ranker']) for row in tiles if row['status'] == 'not among the best']
    assert len(stay) == len(go) == 10
    assert stay[0] >= max(go)
    listed = (target / 'meta_info.txt').read_text().splitlines()
    names = {path.relative_to(target / 'tiles').as_posix() for path in target.rglob('*-*.png')}
    assert {line.split(' ')[0] for line in listed} == names
    name = next(name for name in names if name.startswith('sub/'))
    photograph, top, left = name.removesuffix('.png').rsplit('-', 2)
    whole = decode_rgb((source / f'{photograph}.png').read_bytes(), name)
    tile = decode_rgb((target / 'tiles' / name).read_bytes(), name)
    assert (whole[int(top) :][:TILE, int(left) :][:, :TILE] == tile).all()


def test_lists_train(curated):
    target = curated[0]
    section = {
        'type': 'MultiGTDataset',
        'dataroot_gt': str(target / 'tiles'),
        'originals': True,
        'meta_info': str(target / 'meta_info.txt'),
        'sampling_weights': str(target / 'weights.csv'),
        'gt_size': 32,
        'margin': 0,
        'sampling': {'type': 'UniformSampler', 'candidates': 'original'},
    }
    data = build_dataset(section, scale=4, phase='train')
    assert len(data) == 10
    drawn = [data[index]['key'] for index in range(10) for _ in range(20)]
    best = max((row for row in rows_of(target) if row['weight']), key=lambda r: float(r['weight']))
    assert drawn.count(best['tile']) == pytest.approx(20 * float(best['weight']), abs=15)


def test_flips_go_if_asked_and_limits_hold(source, tmp_path, curate):
    target = tmp_path / 'curated'
    summary, _ = curate(source, target, 'ranker=1.5', flips=True)
    assert '2 near-duplicate' in summary
    tiles = [row for row in rows_of(target) if row['tile']]
    assert len(tiles) == 16
    assert all((float(r['ranker']) >= 1.5) == (r['status'] == 'stays') for r in tiles)


def test_what_is_scored_is_kept_and_what_changed_is_done_again(
    source, tmp_path, curate, monkeypatch
):
    target = tmp_path / 'curated'
    count = []

    class Counting(RankerScorer):
        def _score(self, image, reference=None):
            count.append(len(image))
            if len(count) == 3:
                raise KeyboardInterrupt
            return super()._score(image)

    monkeypatch.setattr('iqasr.analysis.panel.build', lambda *_: Counting())
    with pytest.raises(KeyboardInterrupt):
        curate(source, target)
    undisturbed, _ = curate(source, tmp_path / 'other')
    count.clear()
    count.extend([0] * 3)
    summary, _ = curate(source, target)
    assert sum(count) == 12  # 8 of 20 tiles were scored before
    assert summary.replace('curated', 'other') == undisturbed
    count.clear()
    count.extend([0] * 3)
    save(source / 'c.png', decode_rgb((source / 'c.png').read_bytes(), 'c')[::-1])
    curate(source, target, best_share=0.1)
    assert sum(count) == 4
    assert len(list((target / 'tiles').rglob('*.png'))) == 2


def test_wrong_words_are_refused_before_anything_is_read(tmp_path, curate):
    with pytest.raises(OptionError, match=r"'rankr=3': is of none of the scorers.*'ranker'"):
        curate('nowhere', tmp_path, 'rankr=3')
    with pytest.raises(OptionError, match="'high' is no number"):
        curate('nowhere', tmp_path, 'ranker=high')
    with pytest.raises(DataError, match='no such folder'):
        curate('nowhere', tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match='holds no photographs'):
        curate(tmp_path / 'empty', tmp_path / 'out')


def test_a_scorer_that_refuses_tiles_is_named(source, tmp_path):
    words = ['ranker', 'niqe']  # which needs 192 px
    options = {'tile_px': TILE, 'cpu': True}
    left_out = curate_from_words(str(source), str(tmp_path / 'out'), words, **options)
    assert [line for line in left_out if line.startswith('niqe: ')]
    with pytest.raises(DataError, match='niqe has a limit, but cannot score'):
        curate_from_words(str(source), str(tmp_path / 'out'), words, ['niqe=5'], **options)
