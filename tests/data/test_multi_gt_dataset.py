"""Items of the multi-GT data set: same place, same turn, one choice, few reads."""

import os

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from iqasr.data.files.crop import turned
from iqasr.data.files.image_files import decode_rgb
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.scores.quality_rows import QualityRow, content_hash
from iqasr.data.scores.quality_table import QualityTable
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import ArgmaxSampler, SoftmaxSampler, UniformSampler
from iqasr.sampling.labels import Label

SIZE, MARGIN, SCALE = 16, 8, 4


def dataset(root, sampler=None, **options):
    options = {'scale': SCALE, 'margin': MARGIN, 'use_rot': True} | options
    return MultiGTDataset(root, SIZE, sampler=sampler or UniformSampler(), **options)


def table(qualities, score_range=(0.0, 10.0)):
    rows = {
        key: {
            name: QualityRow(key, name, 'some', '1', '', quality, *score_range)
            for name, quality in zip(('original', '01', '02'), row, strict=True)
        }
        for key, row in qualities.items()
    }
    return QualityTable('table.csv', 'some', '1', score_range, rows)


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
    made = dataset(make_set(), online=True)
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


def test_workers_do_not_change_the_items(make_set, tmp_path):
    create_lmdb(make_set(), str(tmp_path / 'x.lmdb'))
    made = dataset(str(tmp_path / 'x.lmdb'))
    alone, parallel = (
        list(DataLoader(made, batch_size=3, num_workers=workers)) for workers in (0, 1)
    )
    assert torch.equal(alone[0]['gt'], parallel[0]['gt'])
    assert alone[0]['key'] == parallel[0]['key'] == ['a', 'b', 'c']


def test_only_original_and_choice_are_read(make_set, monkeypatch):
    made = dataset(make_set(variants=('01', '02', '03', '04')))
    reads = []
    read = made.candidates.image
    monkeypatch.setattr(made.candidates, 'image', lambda file: reads.append(file) or read(file))
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
    made = dataset(make_set(), ArgmaxSampler(), table=quality)
    assert [int(made[index]['choice']) for index in range(3)] == [1, 0, 2]
    assert made[0]['quality'].tolist() == [1, 5, 2]
    assert made[0]['perplexity'] == 1


def test_quality_is_normalised_over_what_may_be_chosen(make_set):
    quality = table({key: [100, 2, 4] for key in 'abc'})
    enhanced = ArgmaxSampler(candidates='enhanced')
    made = dataset(make_set(), enhanced, table=quality, norm='zscore_set')
    assert made[0]['quality'].tolist() == [-np.inf, -1, 1]
    made = dataset(make_set(), enhanced, table=quality, norm='range01')
    assert made[0]['quality'].tolist() == pytest.approx([-np.inf, 0.2, 0.4])


def test_perplexity_is_that_of_the_policy(make_set):
    quality = table({key: [0, 0, 1] for key in 'abc'})
    made = dataset(make_set(), SoftmaxSampler(temperature=1.0), table=quality)
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
    made = dataset(make_set(), ArgmaxSampler(candidates='enhanced'), online=True)
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
        ({'sampler': ArgmaxSampler()}, 'ArgmaxSampler chooses by quality: give a table'),
        ({'sampler': UniformSampler(candidates='positives')}, 'carries no labels'),
        ({'table': table({'a': [1, 2, 3]})}, r"table\.csv: was made for other data: .* 'b'"),
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
    made = dataset(root, ArgmaxSampler(), table=table({key: [1, 2, 3] for key in 'abc'}))
    for group in made.candidates.groups:
        for name, file in zip(group.names, group.files, strict=True):
            row = made.table.by_key[group.key][name]
            digest = content_hash(made.candidates.reader.read(file))
            made.table.by_key[group.key][name] = row._replace(content_hash=digest)
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
    with pytest.raises(ValueError, match="'a' are original, 00, 02, those in the table original"):
        dataset(root, ArgmaxSampler(), table=quality)


def test_unchecked_bad_images_are_named_when_met(make_set, make_picture):
    root = make_set()
    paths = [os.path.join(root, '01', f'{name}_01.png') for name in 'ab']
    os.truncate(paths[0], 200)
    cv2.imwrite(paths[1], make_picture(0, 44, 40))
    made = dataset(root, online=True)
    with pytest.raises(DataError, match=f'{paths[0]}: cut short'):
        made[0]
    with pytest.raises(DataError, match=f'{paths[1]}: its size differs'):
        made[1]
