"""Items of the multi-GT data set: same place, same turn, one choice, few reads."""

import os
import pickle

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader, Subset, default_collate

from iqasr.data.candidates.hggt import write_votes
from iqasr.data.files.crop import turned
from iqasr.data.files.image_files import content_hash, decode_rgb
from iqasr.data.loader import PlacedDataset
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.scores.quality_rows import QualityRow, write_rows
from iqasr.data.scores.quality_table import QualityTable, grouped
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.registry import takes_options
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import ArgmaxSampler, SoftmaxSampler, UniformSampler
from iqasr.sampling.labels import Label

SIZE, MARGIN, SCALE = 16, 8, 4


def dataset(root, sampler=None, **options):
    options = {'scale': SCALE, 'margin': MARGIN, 'use_rot': True} | options
    return MultiGTDataset(root, SIZE, **{'sampling': sampler or UniformSampler()} | options)


def rows_of(qualities, score_range=(0.0, 10.0)):
    return [
        QualityRow(key, name, 'some', '1', '', quality, *score_range)
        for key, row in qualities.items()
        for name, quality in zip(('original', '01', '02'), row, strict=True)
    ]


def table(qualities, score_range=(0.0, 10.0)):
    groups = grouped(rows_of(qualities, score_range))
    return QualityTable('table.csv', 'some', '1', score_range, groups)


def images_of(made, index):
    """All candidates of a group, decoded: (K, 3, H, W)."""
    files = made.candidates.groups[index].files
    images = [decode_rgb(made.candidates.reader.read(file), file) for file in files]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def windows(image, size):
    """Every turned window of an image (3, H, W) as a set of bytes."""
    found = set()
    for k in range(4):
        for flipped in (image, image.flip(-1)):
            turned = flipped.rot90(k, (1, 2))
            for top in range(turned.shape[1] - size + 1):
                for left in range(turned.shape[2] - size + 1):
                    window = turned[:, top : top + size, left : left + size]
                    found.add(window.contiguous().numpy().tobytes())
    return found


def crop_at_offset(item):
    top, left = item['offset'].tolist()
    return item['original'][:, top : top + SIZE, left : left + SIZE]


def test_item_has_the_documented_form(make_set):
    item = dataset(make_set())[0]
    assert item['key'] == 'a'
    assert item['original'].shape == (3, SIZE + MARGIN, SIZE + MARGIN)
    assert item['gt'].shape == (3, SIZE, SIZE)
    assert item['original'].dtype == item['gt'].dtype == torch.uint8
    assert item['offset'].dtype == item['choice'].dtype == torch.int64
    assert item['offset'].shape == (2,)
    assert item['choice'].shape == item['perplexity'].shape == ()
    assert item['perplexity'].dtype == item['quality'].dtype == torch.float32
    assert item['quality'].tolist() == [0, 0, 0]
    assert default_collate([item, item])['gt'].shape == (2, 3, SIZE, SIZE)


def test_original_region_holds_the_crop_at_the_offset_however_turned(make_set):
    made = dataset(make_set(size=(20, 24)), UniformSampler(candidates='original'))
    offsets, turns = set(), set()
    for number in range(200):
        item = made.draw(0, generator_at('item', number))
        assert torch.equal(crop_at_offset(item), item['gt'])
        offsets.add(tuple(item['offset'].tolist()))
        turns.add(item['gt'].numpy().tobytes())
    assert offsets == {(top, left) for top in (0, 4, 8) for left in (0, 4, 8)}
    assert turns <= windows(images_of(made, 0)[0], SIZE)
    assert len(turns) > 100


def test_candidates_are_cropped_and_turned_like_the_original(make_set):
    made = dataset(make_set(), quality={})
    images = images_of(made, 1)
    for number in range(20):
        item = made.draw(1, generator_at('item', number))
        item['candidates'] = turned(item['candidates'], *item['turns'].tolist())
        stacked = item['candidates'].flatten(0, 1)
        assert torch.equal(item['candidates'][0], crop_at_offset(item))
        assert stacked.numpy().tobytes() in windows(images.flatten(0, 1), SIZE)


def test_region_is_reflected_at_the_edges_of_the_image(make_set):
    made = dataset(make_set(size=(SIZE, SIZE)), use_hflip=False, use_rot=False)
    image = images_of(made, 0)[0].numpy()
    for number in range(20):
        item = made.draw(0, generator_at('item', number))
        top, left = item['offset'].tolist()
        pads = ((0, 0), (top, MARGIN - top), (left, MARGIN - left))
        assert np.array_equal(item['original'].numpy(), np.pad(image, pads, mode='reflect'))


def test_margin_larger_than_the_image_is_reflected_again(make_set):
    made = dataset(make_set(size=(SIZE, SIZE)), margin=40, use_hflip=False, use_rot=False)
    item = made[0]
    top, left = item['offset'].tolist()
    image = images_of(made, 0)[0].permute(1, 2, 0).numpy()
    padded = cv2.copyMakeBorder(image, top, 40 - top, left, 40 - left, cv2.BORDER_REFLECT_101)
    assert np.array_equal(item['original'].permute(1, 2, 0).numpy(), padded)


def test_crop_positions_are_uniform(make_set):
    made = dataset(make_set(size=(18, SIZE)), use_hflip=False, use_rot=False, margin=0)
    image = images_of(made, 0)[0]
    counts = [0, 0, 0]
    for number in range(300):
        drawn = made.draw(0, generator_at('item', number))['original']
        places = [torch.equal(drawn, image[:, top : top + SIZE]) for top in range(3)]
        counts[places.index(True)] += 1
    assert min(counts) > 70


def test_flips_and_transposition_each_happen_half_of_the_time(make_set):
    made = dataset(make_set(size=(SIZE, SIZE)), margin=0)
    image = images_of(made, 0)[0]
    counts = {}
    for number in range(400):
        drawn = made.draw(0, generator_at('item', number))['original'].numpy().tobytes()
        counts[drawn] = counts.get(drawn, 0) + 1
    assert counts.keys() == windows(image, SIZE)
    assert len(counts) == 8
    assert min(counts.values()) > 25


def test_draws_depend_on_the_generator_alone(make_set):
    made = dataset(make_set())
    one, two = (made.draw(2, generator_at('x', 1)) for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in ('original', 'offset', 'gt', 'choice'))
    assert not torch.equal(one['original'], made.draw(2, generator_at('x', 2))['original'])


def test_workers_do_not_change_the_items_of_the_stream(make_set, tmp_path):
    create_lmdb(make_set(), str(tmp_path / 'x.lmdb'))
    placed = PlacedDataset(dataset(str(tmp_path / 'x.lmdb')), seed=0)
    places = [[(0, 0), (1, 1), (2, 2)]]
    alone, parallel = (
        list(DataLoader(placed, batch_sampler=places, num_workers=workers)) for workers in (0, 1)
    )
    assert torch.equal(alone[0]['gt'], parallel[0]['gt'])
    assert alone[0]['key'] == parallel[0]['key'] == ['a', 'b', 'c']


def read_epochs(made, workers, epochs=3):
    """Read as BasicSR does: by index, in a loader whose workers end with the epoch."""
    torch.manual_seed(made.seed)
    loader = DataLoader(made, batch_size=2, num_workers=workers)
    return [batch for _ in range(epochs) for batch in loader]


@pytest.mark.parametrize('workers', [0, 2])
def test_stock_loader_gives_fresh_crops_in_every_epoch_and_worker(make_set, workers):
    made = dataset(make_set(size=(96, 96)), UniformSampler(candidates='original'), margin=0)
    crops = torch.cat([batch['gt'] for batch in read_epochs(made, workers)])
    assert len(crops) == 9
    for group in range(3):
        assert len({crop.numpy().tobytes() for crop in crops[group::3]}) == 3
    again = dataset(made.candidates.root, made.sampler, margin=0)
    again.seed = made.seed
    assert torch.equal(crops, torch.cat([batch['gt'] for batch in read_epochs(again, workers)]))


def test_workers_of_one_group_draw_apart(make_set):
    made = dataset(make_set(names=('a',), size=(96, 96)), margin=0)
    loader = DataLoader(Subset(made, [0] * 8), batch_size=1, num_workers=2)
    assert len({batch['original'].numpy().tobytes() for batch in loader}) == 8


def test_stock_loader_without_workers_gives_the_stream_of_the_same_seed(make_set):
    torch.manual_seed(7)
    made = dataset(make_set())
    found = [batch['gt'] for batch in read_epochs(made, workers=0, epochs=2)]
    placed = PlacedDataset(made, seed=7)
    expected = [placed[position, position % 3]['gt'] for position in range(6)]
    assert torch.equal(torch.cat(found), torch.stack(expected))


def test_built_from_its_section_as_basicsr_does(make_set, monkeypatch):
    root = make_set()
    monkeypatch.chdir(os.path.dirname(root))
    opt = {
        'type': 'MultiGTDataset',
        'name': 'train',
        'dataroot_gt': 'set',
        'gt_size': SIZE,
        'margin': MARGIN,
        'sampling': {'type': 'SoftmaxSampler', 'temperature': '1e-2'},
        'quality': {'scorer': {'type': 'NIQEScorer'}},
        'degradation': {'type': 'FirstOrderDegradation'},
        'queue_size': 4,
        'batch_size_per_gpu': 2,
        'phase': 'train',
        'scale': SCALE,
    }
    made = build_dataset(opt)  # of BasicSR
    assert made.sampler.temperature == 0.01
    assert made.online
    assert (made.opt['name'], made.opt['phase']) == ('train', 'train')
    assert made[0]['candidates'].shape == (3, 3, SIZE, SIZE)
    assert not takes_options(MultiGTDataset)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'gt_siz': 16}, r"datasets\.some\.gt_siz: unknown option\. Did you mean 'gt_size'\?"),
        ({'batch_size': 2}, r"some\.batch_size: unknown .*'batch_size_per_gpu'"),
        ({'gt_size': 'large'}, r'datasets\.some\.gt_size: should be a valid integer'),
        ({'sampling': None}, r'datasets\.some\.sampling: is required and missing'),
        ({'sampling': 3}, r'datasets\.some\.sampling: should be a valid dictionary'),
        ({'sampling': {'type': 'Softmax'}}, r"datasets\.some\.sampling: no GT sampler .*'Softmax'"),
        (
            {'sampling': {'type': 'SoftmaxSampler', 'temprature': 1}},
            r"some\.sampling\.temprature: unknown option\. Did you mean 'temperature'\?",
        ),
        (
            {'sampling': {'type': 'SoftmaxSampler', 'temperature': 0}},
            r'datasets\.some\.sampling: temperature is 0',
        ),
        ({'quality': {'tabel': 'x'}}, r"some\.quality\.tabel: unknown .* Did you mean 'table'\?"),
        ({'quality': {'table': 'x', 'map': 'y'}}, 'quality: give a table or a map, not both'),
    ],
)
def test_wrong_options_of_a_section_are_named(make_set, changes, reason):
    opt = {'name': 'some', 'dataroot_gt': make_set(), 'gt_size': SIZE, 'scale': SCALE}
    opt |= {'phase': 'train', 'sampling': {'type': 'UniformSampler'}}
    with pytest.raises(OptionError, match=reason):
        MultiGTDataset(opt | changes)


def test_negatives_come_with_a_positive_and_what_people_said(make_set):
    labels = [(Label.NEGATIVE, Label.POSITIVE), (Label.SIMILAR, Label.SIMILAR)]
    root = make_set(names=('a', 'b'), labels=labels)
    write_votes(
        os.path.join(root, 'labels', 'B', 'a.json'),
        'a',
        {'01': Label.SIMILAR, '02': Label.POSITIVE},
    )
    made = dataset(root, negatives=True)
    item, without = made[0], made[1]
    images = images_of(made, 0)
    assert item['negative']['image'].numpy().tobytes() in windows(images[1], SIZE)
    assert item['negative']['positive'].numpy().tobytes() in windows(images[2], SIZE)
    assert item['negative']['agreement'].tolist() == pytest.approx([2 / 3, 1])
    assert not any(value.any() for value in without['negative'].values())
    batch = default_collate([item, without])['negative']
    assert batch['image'].shape == (2, 3, SIZE, SIZE)
    assert batch['agreement'].shape == (2, 2)


def test_only_original_and_choice_are_read(make_set, monkeypatch):
    made = dataset(make_set(variants=('01', '02', '03', '04')))
    reads = []
    read = made.candidates.reader.image
    monkeypatch.setattr(
        made.candidates.reader, 'image', lambda file: reads.append(file) or read(file)
    )
    choices = set()
    for number in range(40):
        reads.clear()
        choice = int(made.draw(0, generator_at('item', number))['choice'])
        choices.add(choice)
        files = made.candidates.groups[0].files
        assert reads == ([files[0]] if choice == 0 else [files[0], files[choice]])
    assert choices == {0, 1, 2, 3, 4}


def test_gt_is_the_chosen_candidate(make_set):
    made = dataset(make_set())
    images = images_of(made, 0)
    for number in range(12):
        item = made.draw(0, generator_at('item', number))
        assert item['gt'].numpy().tobytes() in windows(images[item['choice']], SIZE)


def test_best_of_the_table_is_chosen(make_set):
    quality = table({'a': [1, 5, 2], 'b': [9, 5, 2], 'c': [1, 5, 7]})
    made = dataset(make_set(), ArgmaxSampler(), quality=quality)
    assert [int(made[index]['choice']) for index in range(3)] == [1, 0, 2]
    assert made[0]['quality'].tolist() == [1, 5, 2]
    assert made[0]['perplexity'] == 1


def test_quality_is_normalised_over_what_may_be_chosen(make_set, tmp_path):
    path = tmp_path / 'quality.csv'
    write_rows(path, rows_of({key: [100, 2, 4] for key in 'abc'}))
    enhanced = ArgmaxSampler(candidates='enhanced')
    made = dataset(make_set(), enhanced, quality={'table': str(path), 'norm': 'zscore_set'})
    assert made[0]['quality'].tolist() == [-np.inf, -1, 1]
    made = dataset(make_set(), enhanced, quality={'table': str(path), 'norm': 'range01'})
    assert made[0]['quality'].tolist() == pytest.approx([-np.inf, 0.2, 0.4])


def test_quality_without_a_finite_score_is_refused(make_set):
    nan = float('nan')
    nothing = table({key: [nan] * 3 for key in 'abc'})
    with pytest.raises(
        ValueError, match=r"table.csv: holds no finite score by 'some' .*Score what"
    ):
        dataset(make_set(), ArgmaxSampler(), quality=nothing)
    enhanced = ArgmaxSampler(candidates='enhanced')  # the only scores are of originals
    with pytest.raises(ValueError, match='of a candidate that may be chosen'):
        dataset(make_set(), enhanced, quality=table({key: [1, nan, nan] for key in 'abc'}))
    assert dataset(make_set(), UniformSampler(), quality=nothing)[0]['perplexity'] == 3


def test_groups_without_a_score_are_counted(make_set, caplog):
    nan = float('nan')
    quality = table({'a': [nan] * 3, 'b': [9, nan, 2], 'c': [1, 5, 7]})
    made = dataset(make_set(), ArgmaxSampler(), quality=quality)
    assert 'table.csv: in 1 of 3 choices no candidate has a finite score' in caplog.text
    assert [round(made[index]['perplexity'].item(), 5) for index in range(3)] == [3, 1, 1]


def test_perplexity_is_that_of_the_policy(make_set):
    quality = table({key: [0, 0, 1] for key in 'abc'})
    made = dataset(make_set(), SoftmaxSampler(temperature=1.0), quality=quality)
    p = np.exp([0, 0, 1]) / np.exp([0, 0, 1]).sum()
    assert made[0]['perplexity'].item() == pytest.approx(np.exp(-(p * np.log(p)).sum()), abs=1e-5)


def test_groups_without_allowed_candidates_are_dropped(make_set):
    labels = [
        (Label.NEGATIVE, Label.SIMILAR),
        (Label.SIMILAR, Label.POSITIVE),
        (Label.SIMILAR, Label.SIMILAR),
    ]
    made = dataset(make_set(labels=labels), UniformSampler(candidates='positives'))
    assert (len(made), made.dropped) == (1, 2)
    assert (made[0]['key'], int(made[0]['choice'])) == ('b', 2)
    assert made[0]['quality'].tolist() == [-np.inf, -np.inf, 0]


def test_no_group_left_is_refused(make_set):
    root = make_set(labels=[(Label.NEGATIVE, Label.SIMILAR)])
    with pytest.raises(DataError, match="no group has a candidate that 'candidates: positives'"):
        dataset(root, UniformSampler(candidates='positives'))


def test_online_items_hold_all_allowed_candidates(make_set):
    made = dataset(make_set(), ArgmaxSampler(candidates='enhanced'), quality={})
    item = made[0]
    assert item['allowed'].tolist() == [False, True, True]
    assert item['candidates'].shape == (3, 3, SIZE, SIZE)
    assert item['candidates'].dtype == torch.uint8
    assert not item['candidates'][0].any()
    assert item['candidates'][1].any()
    assert 'gt' not in item


def test_sets_of_different_width_are_padded(make_set):
    make_set(images='images/narrow')
    root = make_set(images='images/wide', variants=('01', '02', '03'))
    made = dataset(root)
    assert made.allowed.tolist() == [[True, True, True, False]] * 3 + [[True] * 4] * 3
    item = made[0]
    assert item['quality'].tolist() == [0, 0, 0, -np.inf]
    assert item['perplexity'].item() == pytest.approx(3)


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        ({'margin': 6}, 'margin is 6; use 0 or a multiple of scale, 4'),
        ({'margin': -4}, 'margin is -4'),
        ({'scale': 3, 'margin': 9}, 'gt_size is 16; use a positive multiple of scale, 3'),
        ({'sampling': ArgmaxSampler()}, 'ArgmaxSampler chooses by quality: give a table'),
        ({'sampling': UniformSampler(candidates='positives')}, 'carries no labels'),
        ({'quality': table({'a': [1, 2, 3]})}, r"table\.csv: was made for other data: .* 'b'"),
    ],
)
def test_options_that_do_not_fit_are_refused(make_set, options, reason):
    with pytest.raises(ValueError, match=reason):
        dataset(make_set(), **options)


def test_check_finds_small_and_broken_images(make_set, make_picture):
    root = make_set()
    assert dataset(root).check(decode=True) == []
    os.truncate(os.path.join(root, '01', 'a_01.png'), 200)
    for folder, ending in (('original', ''), ('01', '_01'), ('02', '_02')):
        cv2.imwrite(os.path.join(root, folder, f'c{ending}.png'), make_picture(0, 12, 40))
    problems = dataset(root).check()
    assert len(problems) == 2
    assert 'a_01.png: cut short' in problems[0]
    assert 'c.png: 40 x 12 px, at least 16 px' in problems[1]


def test_decoding_check_finds_images_that_changed_since_they_were_scored(make_set, make_picture):
    root = make_set()
    made = dataset(root, ArgmaxSampler(), quality=table({key: [1, 2, 3] for key in 'abc'}))
    for group in made.candidates.groups:
        hashes = tuple(content_hash(made.reader.read(file)) for file in group.files)
        scored = made.known_quality.groups[group.key]
        made.known_quality.groups[group.key] = scored._replace(content_hashes=hashes)
    assert made.check(decode=True) == []
    changed = os.path.join(root, '02', 'b_02.png')
    cv2.imwrite(changed, make_picture(77))
    assert made.check() == []
    [problem] = made.check(decode=True)
    assert problem.startswith(f'{changed}: has changed since it was scored. Score what is new: ')


def test_table_of_a_set_with_other_candidates_is_refused(make_set):
    quality = table({key: [1, 5, 2] for key in 'abc'})
    root = make_set()
    os.rename(os.path.join(root, '01'), os.path.join(root, '00'))
    for name in 'abc':
        os.rename(*(os.path.join(root, '00', f'{name}_{k}.png') for k in ('01', '00')))
    with pytest.raises(ValueError, match="'a' are original, 00, 02, but original"):
        dataset(root, ArgmaxSampler(), quality=quality)


def test_unchecked_bad_images_are_named_when_met(make_set, make_picture):
    root = make_set()
    paths = [os.path.join(root, '01', f'{name}_01.png') for name in 'ab']
    os.truncate(paths[0], 200)
    cv2.imwrite(paths[1], make_picture(0, 44, 40))
    made = dataset(root, quality={})
    with pytest.raises(DataError, match=f'{paths[0]}: cut short'):
        made[0]
    with pytest.raises(DataError, match=f'{paths[1]}: its size differs'):
        made[1]


def pictures(folder, photographs, kind):
    """Write four originals: grey ones, or of 16 bits with values between those of 8."""
    folder.mkdir()
    for number, image in enumerate(photographs[:4]):
        if kind == 'grey':
            image = image[..., :1]
        elif number:  # the first one has 8 bits
            image = image.astype(np.uint16) * 257 + np.arange(96, dtype=np.uint16)[:, None]
        cv2.imwrite(str(folder / f'{number}.png'), image[..., ::-1])
    return str(folder)


def test_grey_images_are_expanded_if_so_asked(photographs, tmp_path):
    root = pictures(tmp_path / 'grey', photographs, 'grey')
    refusing = dataset(root, originals=True).check()
    assert len(refusing) == 4
    assert 'greyscale' in refusing[0]
    made = dataset(root, originals=True, grey=True)
    assert made.check(decode=True) == []
    crop = made[0]['gt']
    assert crop.shape == (3, SIZE, SIZE)
    assert (crop == crop[:1]).all()
    assert crop[0].numpy().tobytes() in windows(
        torch.from_numpy(photographs[0][None, ..., 0]), SIZE
    )


def test_16_bits_are_kept_to_the_crop(photographs, tmp_path):
    root = pictures(tmp_path / 'deep', photographs, 'deep')
    assert [p.split(': ')[1][:16] for p in dataset(root, originals=True).check()] == [
        'more than 8 bits'
    ] * 3
    made = dataset(root, originals=True, bits=16)
    assert made.check(decode=True) == []
    batch = default_collate([made[index] for index in range(4)])
    assert batch['gt'].dtype == batch['original'].dtype == torch.float32
    levels = batch['gt'].double() * 65535
    assert (levels - levels.round()).abs().max() < 0.01
    parts = [set((of_image.round() % 257).flatten().tolist()) for of_image in levels]
    assert parts[0] == {0}
    assert all(len(part) >= SIZE for part in parts[1:])
    deep = photographs[1].astype(np.uint16) * 257 + np.arange(96, dtype=np.uint16)[:, None]
    expected = windows(torch.from_numpy(deep.astype(np.int32)).permute(2, 0, 1), SIZE)
    assert levels[1].round().to(torch.int32).numpy().tobytes() in expected


def test_what_a_reader_accepts_is_sent_to_workers(photographs, tmp_path):
    for name in ('original', 'other'):
        pictures(tmp_path / name, photographs, 'deep')
    made = dataset(str(tmp_path), bits=16, grey=True)
    sent = pickle.loads(pickle.dumps(made))
    assert (sent.reader.bits, sent.reader.allow_grey) == (16, True)
    assert torch.equal(PlacedDataset(sent, 1)[0, 2]['gt'], PlacedDataset(made, 1)[0, 2]['gt'])


def test_16_bits_are_refused_where_they_would_be_lost(photographs, tmp_path):
    root = pictures(tmp_path / 'deep', photographs, 'deep')
    with pytest.raises(ValueError, match='without queue_size'):
        dataset(root, originals=True, bits=16, queue_size=4)
