import shutil

import cv2
import numpy as np
import pytest

from iqasr.data.candidates.originals import open_originals
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import UniformSampler


def dataset(root, **options):
    root = root if isinstance(root, list) else str(root)
    return MultiGTDataset(
        root, 32, scale=4, sampling=UniformSampler(candidates='original'), **options
    )


def keys(found):
    return [group.key for group in found.groups]


def test_folder_is_its_own_ground_truth(candidates):
    data = dataset(candidates / 'original', originals=True, margin=0)
    item = data.draw(3, generator_at('test'))
    assert len(data) == 10
    assert item['key'] == '03'
    assert (item['gt'] == item['original']).all()


def test_list_says_which_and_may_say_more(candidates, tmp_path):
    listing = tmp_path / 'meta_info.txt'
    listing.write_text('original/04.png (96,96,3)\n\noriginal/01.png\n')
    found = open_originals(str(candidates), str(listing))
    assert [group.key for group in found.groups] == ['original/01', 'original/04']
    assert found.reader.image(found.groups[0].files[0]).shape == (96, 96, 3)


def test_blank_may_belong_to_the_path(candidates, tmp_path):
    root, listing = tmp_path / 'my photos', tmp_path / 'meta_info.txt'
    shutil.copytree(candidates / 'original', root / 'at sea')
    listing.write_text('at sea/01.png\n')
    assert keys(open_originals(str(root), str(listing))) == ['at sea/01']


def test_photographs_lie_at_any_depth(make_picture, tmp_path):
    for name in ('b/z.png', 'b/c/d/y.JPG', 'b.png', 'a-1.png', 'a.png', '.hidden/x.png'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), make_picture(0))
    (tmp_path / 'photos/b/c/loop').symlink_to(tmp_path / 'photos')
    (tmp_path / 'more').mkdir()
    cv2.imwrite(str(tmp_path / 'more/w.png'), make_picture(0))
    (tmp_path / 'photos/linked').symlink_to(tmp_path / 'more')
    found = open_originals(str(tmp_path / 'photos'))
    assert keys(found) == ['a-1', 'a', 'b', 'b/c/d/y', 'b/z', 'linked/w']
    assert {found.reader.image(group.files[0]).shape for group in found.groups} == {(48, 40, 3)}


def test_candidates_are_not_taken_for_photographs(candidates):
    with pytest.raises(DataError, match='holds candidates, too, not originals'):
        open_originals(str(candidates))


def test_several_folders_are_one_set(candidates, tmp_path):
    for name in ('one', 'two/gt'):
        shutil.copytree(candidates / 'original', tmp_path / name)
    roots = [str(tmp_path / 'two/gt'), str(tmp_path / 'one')]
    data = dataset(roots, originals=True)
    assert len(data) == 20
    assert data[3]['key'] == 'one/03'
    assert data[13]['key'] == 'two/gt/03'
    assert keys(open_originals(roots[:1])) == keys(open_originals(roots[0]))
    (tmp_path / 'one/more').symlink_to(tmp_path / 'two/gt')
    assert keys(open_originals(roots)) == [group.key for group in data.candidates.groups]
    listing = tmp_path / 'list.txt'
    for wrong, reason in (
        ([], 'names no folder'),
        ([*roots, str(tmp_path / 'two')], 'gt: named twice, or part of another folder'),
        ([roots[0], roots[0]], 'named twice'),
        ([roots[0], 'nowhere'], 'nowhere: no such folder'),
    ):
        with pytest.raises(DataError, match=reason):
            open_originals(wrong)
    with pytest.raises(DataError, match='meta_info lists the photographs of one folder'):
        open_originals(roots, str(listing))
    with pytest.raises(ValueError, match=r'dataroot_gt: several folders are for photographs alone'):
        dataset(roots)


def test_policy_may_be_left_out(candidates):
    root = str(candidates / 'original')
    data = MultiGTDataset(root, 32, scale=4, originals=True, margin=0)
    drawn = [
        d.draw(3, generator_at('test')) for d in (data, dataset(root, originals=True, margin=0))
    ]
    assert (drawn[0]['gt'] == drawn[1]['gt']).all()


def test_refusals_name_the_options(make_picture, tmp_path):
    cv2.imwrite(str(tmp_path / 'deep.png'), make_picture(0).astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / 'grey.png'), make_picture(0)[..., 0])
    deep, grey = dataset(tmp_path, originals=True).check()
    assert deep.endswith(
        'deep.png: more than 8 bits per channel. Convert it to 8 bits, or set `bits: 16`.'
    )
    assert grey.endswith(
        'grey.png: greyscale. Training takes RGB; save it as RGB, or set `grey: true`.'
    )
    assert dataset(tmp_path, originals=True, grey=True, bits=16).check() == []


def test_lmdb_of_basicsr_is_read(candidates, tmp_path):
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    root = tmp_path / 'gt.lmdb'
    names = ['00', '01']
    files = [f'{name}.png' for name in names]
    make_lmdb_from_imgs(str(candidates / 'original'), str(root), files, names)
    found = open_originals(str(root))
    whole = open_originals(str(candidates / 'original'))
    assert [group.key for group in found.groups] == names
    assert (found.reader.image('01') == whole.reader.image(whole.groups[1].files[0])).all()


@pytest.mark.parametrize(
    ('text', 'message'),
    [('original/01.png\nno.png\nnor.png', 'no.png: missing, but listed'), ('', 'holds no image')],
)
def test_wrong_list_is_refused(text, message, candidates, tmp_path):
    listing = tmp_path / 'meta_info.txt'
    listing.write_text(text)
    with pytest.raises(DataError, match=message):
        open_originals(str(candidates), str(listing))


def test_byte_order_mark_is_no_part_of_the_first_name(candidates, tmp_path):
    listing = tmp_path / 'meta_info.txt'
    listing.write_text('original/01.png\n', encoding='utf-8-sig')
    [group] = open_originals(str(candidates), str(listing)).groups
    assert group.key == 'original/01'


def test_missing_list_and_folder_are_refused(candidates):
    with pytest.raises(DataError, match='cannot be read as a list'):
        open_originals(str(candidates), 'nowhere.txt')
    with pytest.raises(DataError, match='no such folder'):
        open_originals('nowhere')


def test_list_without_originals_is_refused(candidates):
    with pytest.raises(ValueError, match='set originals: true'):
        dataset(candidates, meta_info='list.txt')
