"""Maps of quality: whole after any interruption, and choosing as online scoring does."""

import itertools
import re
import shutil
import threading

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch.utils.data import default_collate

from iqasr.checking.check import load_options
from iqasr.data import build_dataset
from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.files.journal import part_of
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.scores.quality_map import QualityMap, keep_order, lattice
from iqasr.data.scores.score_map import MapScoring, score_map
from iqasr.data.scores.score_table import score_from_options
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.models.choice import GTChoice
from iqasr.quality import QualityScorer, RankerScorer
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import ArgmaxSampler, SoftmaxSampler, UniformSampler

CROP, STRIDE = 32, 24


class Roughness(QualityScorer):
    """Mean absolute difference of neighbours, not the same mirrored; may stop after so many."""

    name, version, score_range = 'roughness', '1', (0.0, 1.0)

    def __init__(self, stop_after=10**6, version='1'):
        super().__init__()
        self.left, self.calls, self.version = stop_after, [], version

    def _score(self, image, reference=None):
        self.calls.append(len(image))
        self.left -= len(image)
        if self.left < 0:
            raise KeyboardInterrupt
        weight = torch.linspace(0.5, 1.5, image.shape[-1] - 1)
        return (image.diff(dim=-1).abs() * weight).mean((1, 2, 3))


def make(candidates, out, scorer=None, **options):
    options = {'crop': CROP, 'stride': STRIDE} | options
    return score_map(str(candidates), scorer or Roughness(), str(out), **options)


def scoring(path, scorer, process=None):
    return MapScoring(scorer, path, 64, process or Process(), CROP, STRIDE)


@pytest.fixture(scope='module')
def made(candidates, tmp_path_factory):
    return make(candidates, tmp_path_factory.mktemp('map') / 'map.safetensors')


def dataset(candidates, **options):
    options = {'scale': 4, 'margin': 32, 'sampling': ArgmaxSampler(), 'use_rot': True} | options
    return MultiGTDataset(str(candidates), options.pop('gt_size', CROP), **options)


def test_lattice_covers_the_whole_side():
    for length, crop, stride in ((96, 32, 24), (96, 32, 32), (512, 256, 64), (33, 32, 24)):
        places = lattice(length, crop, stride)
        assert places[0] == 0
        assert places[-1] == length - crop
        assert all(0 < b - a <= stride for a, b in itertools.pairwise(places))
    assert lattice(32, 32, 24) == [0]


def test_every_place_holds_the_score_of_its_crop(candidates, made):
    known, scorer = QualityMap.read(str(made)), Roughness()
    opened = open_candidates(str(candidates))
    places = lattice(96, CROP, STRIDE)
    assert places == [0, 24, 48, 64]
    for group in opened.groups:
        quality = known.rows(group.key, group.names)
        assert quality.shape == (16, 3)
        for k, file in enumerate(group.files):
            image = (
                torch.from_numpy(opened.reader.image(file).transpose(2, 0, 1).copy()).float() / 255
            )
            for place, (y, x) in enumerate((y, x) for y in places for x in places):
                score = scorer(image[None, :, y : y + CROP, x : x + CROP])
                assert quality[place, k].item() == pytest.approx(score.item(), rel=2e-3)


def test_order_is_kept_where_rounding_would_make_ties():
    exact = np.float32(50) + np.random.default_rng(0).normal(0, 0.02, (5, 4000)).astype(np.float32)
    exact[2] = exact[4]  # real ties stay ties
    exact[1, :7] = np.nan
    kept = keep_order(exact)
    assert kept.dtype == np.float16
    for a in range(5):
        for b in range(5):
            assert np.array_equal(kept[a] < kept[b], exact[a] < exact[b])
    assert np.array_equal(np.isnan(kept), np.isnan(exact))
    assert np.nanmax(abs(kept - exact)) < 5 * 0.03125  # units in the last place
    assert np.isfinite(keep_order(np.float32([[1e9], [2e9], [-1e9]]))).all()


def test_argmax_by_map_chooses_as_online(candidates, tmp_path):
    """At all places, with all turns: the same ground truth, bit for bit."""
    path = make(candidates, tmp_path / 'm', RankerScorer(), crop=56, stride=20)
    offline = dataset(candidates, gt_size=56, quality={'map': str(path), 'norm': 'zscore_set'})
    online = dataset(candidates, gt_size=56, quality={})
    places = lattice(96, 56, 20)
    online._crop_places = lambda group, shape: [places, places]
    choose, chosen = GTChoice(ArgmaxSampler(), RankerScorer(), 'zscore_set'), []
    for start in range(0, 120, 30):
        ours, theirs = (
            default_collate([data.draw(i % 10, generator_at(i)) for i in range(start, start + 30)])
            for data in (offline, online)
        )
        gt, _ = choose(theirs, generator_at(0), torch.device('cpu'))
        assert torch.equal(ours['original'], theirs['original'])
        assert torch.equal(ours['gt'], gt)
        chosen += ours['choice'].tolist()
    assert len(set(chosen)) > 1


def test_crops_are_drawn_from_all_of_the_lattice_and_nowhere_else(candidates, made):
    data = dataset(candidates, quality=QualityMap.read(str(made)), use_rot=False, use_hflip=False)
    group = data.candidates.groups[0]
    shape, places = (96, 96, 3), lattice(96, CROP, STRIDE)
    drawn = [data._draw_crop(group, shape, generator_at('item', i)) for i in range(400)]
    corners = {(crop.top, crop.left): place for crop, place, _, _ in drawn}
    every = [(y, x) for y in places for x in places]
    assert corners == {corner: place for place, corner in enumerate(every)}


def test_softmax_by_map_follows_the_formula_at_each_place(candidates, made):
    known = QualityMap.read(str(made))
    data = dataset(candidates, sampling=SoftmaxSampler(temperature=0.02), quality=known)
    quality = torch.stack([known.rows('03', ('original', '01', '02'))[5]])
    row = data.choices.first[3] + 5
    expected = torch.softmax(quality / 0.02, 1)[0]
    assert data.choices.cumulative[row].diff(prepend=torch.zeros(1)).tolist() == pytest.approx(
        expected.tolist(), abs=1e-6
    )


def test_large_batches_within_a_group(candidates, tmp_path):
    scorer = Roughness()
    make(candidates, tmp_path / 'm', scorer, batch=20)
    assert scorer.calls == [20, 20, 8] * 10


def test_killed_run_continues_with_another_number_of_processes(candidates, tmp_path, made):
    path = tmp_path / 'killed.safetensors'
    for rank, stop_after in ((0, 3 * 48), (1, 2 * 48 + 5)):
        with pytest.raises(KeyboardInterrupt):
            scoring(path, Roughness(stop_after), Process(rank, world_size=2)).score_share(
                open_candidates(str(candidates))
            )
    cut = part_of(path, 1)
    cut.write_bytes(cut.read_bytes()[:-9])
    scorer = Roughness()
    make(candidates, path, scorer)
    assert sum(scorer.calls) == (10 - 3 - 1) * 48
    assert path.read_bytes() == made.read_bytes()
    assert list(tmp_path.glob('[!.]*')) == [path]


def test_second_command_waits_for_the_first(candidates, tmp_path, made, caplog):
    caplog.set_level('INFO')
    path = tmp_path / 'm.safetensors'
    second = threading.Thread(target=make, args=(candidates, path))
    with FileLock(tmp_path / '.m.safetensors.lock'):
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert not part_of(path, 0).exists()
    second.join()
    assert path.read_bytes() == made.read_bytes()
    assert 'm.safetensors: waiting for another command that makes it.' in caplog.text


def test_stale_part_of_another_number_of_processes_does_not_count(candidates, tmp_path, made):
    source, path = shutil.copytree(candidates, tmp_path / 'set'), tmp_path / 'm'
    scoring(path, Roughness(), Process(1, world_size=3)).score_share(open_candidates(str(source)))
    group = open_candidates(str(source)).groups[4]  # the fifth: now a share of the first process
    shutil.copyfile(group.files[0], group.files[1])
    for rank in range(2):
        made_by = scoring(path, Roughness(), Process(rank, world_size=2))
        made_by.score_share(open_candidates(str(source)))
    made_by.merge(open_candidates(str(source)).groups)
    quality = QualityMap.read(str(path)).groups[group.key].quality
    assert np.array_equal(quality[1], quality[0])
    assert not np.array_equal(quality[1], QualityMap.read(str(made)).groups[group.key].quality[1])


def test_second_run_scores_only_what_has_changed(make_small_set, tmp_path):
    source, change = make_small_set
    path = make(source, tmp_path / 'm')
    before = QualityMap.read(str(path))
    scorer = Roughness()
    make(source, path, scorer)
    assert scorer.calls == []
    change()
    make(source, path, scorer)
    assert sum(scorer.calls) == 4 * 2
    after = QualityMap.read(str(path))
    assert np.array_equal(before.groups['b'].quality, after.groups['b'].quality)
    assert not np.array_equal(before.groups['a'].quality, after.groups['a'].quality)


@pytest.fixture
def make_small_set(tmp_path, photographs):
    import cv2

    for name, number in (('a', 0), ('b', 5)):
        for folder in ('original', '01'):
            (tmp_path / 'set' / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(
                str(tmp_path / 'set' / folder / f'{name}.png'), photographs[number][:50, :50]
            )

    def change():
        cv2.imwrite(str(tmp_path / 'set' / '01' / 'a.png'), photographs[7][:50, :50])

    return tmp_path / 'set', change


def test_raw_store_and_folder_give_the_same(candidates, tmp_path, made):
    create_raw_store(str(candidates), str(tmp_path / 'x.raw'))
    path = score_map(str(tmp_path / 'x.raw'), Roughness(), crop=CROP, stride=STRIDE)
    assert path == tmp_path / 'x.raw' / f'map_roughness_{CROP}_{STRIDE}.safetensors'
    assert path.read_bytes() == made.read_bytes()


def test_map_of_something_else_is_refused(candidates, made, tmp_path, make_small_set):
    with pytest.raises(ValueError, match="holds quality by 'roughness', not 'musiq'"):
        QualityMap.read(str(made), 'musiq')
    known = QualityMap.read(str(made), 'roughness')
    with pytest.raises(ValueError, match=r'of crops of 32 px, but gt_size is 64\. Use gt_size: 32'):
        dataset(candidates, gt_size=64, quality=known)
    with pytest.raises(ValueError, match="was made for other data: the candidates of 'a'"):
        dataset(make_small_set[0], quality=known)
    copy = tmp_path / 'copy'
    copy.write_bytes(made.read_bytes())
    for changes in ({'stride': 8}, {'crop': 48}, {'scorer': RankerScorer(), 'crop': 48}):
        shown = rf"is a map by 'roughness', crops of {CROP} px, stride {STRIDE}; wanted is .* -o"
        with pytest.raises(ValueError, match=shown):
            make(candidates, copy, **changes)
    with pytest.raises(FileNotFoundError, match='--map --crop'):
        QualityMap.read(str(tmp_path / 'none'))
    copy.write_bytes(b'{}')
    with pytest.raises(ValueError, match='not a quality map'):
        QualityMap.read(str(copy))


def test_image_of_another_size_than_scored_is_refused(make_small_set, tmp_path, photographs):
    import cv2

    source, _ = make_small_set
    data = dataset(source, quality=QualityMap.read(str(make(source, tmp_path / 'm'))))
    for folder in ('original', '01'):
        cv2.imwrite(str(source / folder / 'a.png'), photographs[0][:60, :50])
    with pytest.raises(DataError, match=r'a\.png: has another size than when it was scored'):
        data[0]


def test_changed_images_are_found_by_the_check(make_small_set, tmp_path):
    source, change = make_small_set
    data = dataset(source, quality=QualityMap.read(str(make(source, tmp_path / 'm'))))
    assert data.check(decode=True) == []
    change()
    [problem] = data.check(decode=True)
    assert re.search(r'01/a\.png: has changed since it was scored\..*--stride 24$', problem)


def test_bad_numbers_and_small_images_are_refused(candidates, tmp_path):
    with pytest.raises(ValueError, match='crop is 0, stride 24'):
        make(candidates, tmp_path / 'm', crop=0)
    with pytest.raises(DataError, match=r'96 x 96 px, smaller than the crops, 128'):
        make(candidates, tmp_path / 'm', crop=128)
    with pytest.raises(ValueError, match='crop: ranker needs 48 px, not 32'):
        make(candidates, tmp_path / 'new' / 'm', RankerScorer())
    assert not (tmp_path / 'new').exists()


def test_option_file_names_a_map(candidate_options, write_options, made):
    section = candidate_options['datasets']['train'] | {'sampling': {'type': 'ArgmaxSampler'}}
    section['quality'] = {'map': str(made), 'scorer': 'roughness'}
    data = build_dataset(section, scale=4, phase='train')
    assert data.map.stride == STRIDE
    assert not data.online
    train = candidate_options['datasets']['train']
    train['sampling'] = {'type': 'ArgmaxSampler'}
    for section in ({'map': 'x', 'table': 'y'}, {'map': 'x', 'scorer': {'type': 'RankerScorer'}}):
        train['quality'] = section
        with pytest.raises(
            ValueError, match=r'quality(\.scorer)?: (give|with) a table or( a)? map'
        ):
            load_options(write_options(candidate_options))


def test_command_makes_a_map(candidates, tmp_path):
    out, how = str(tmp_path / 'new' / 'm'), {'crop': 64, 'stride': 32, 'batch': 4}
    path = score_from_options(str(candidates), 'ranker', {}, out, cpu=True, score=score_map, **how)
    assert QualityMap.read(str(path), 'ranker').groups['00'].quality.shape == (3, 4)


def test_part_of_another_kind_is_passed_over(candidates, tmp_path):
    scorings = [scoring(tmp_path / 'm', Roughness(version=version)) for version in '123']
    for made in scorings[:2]:
        made.score_share(open_candidates(str(candidates)))
    held = [len(made.read_part(part_of(tmp_path / 'm', 0))) for made in scorings]
    assert held == [10, 10, 0]


def test_uniform_needs_no_map(candidates):
    assert dataset(candidates, sampling=UniformSampler()).map is None
