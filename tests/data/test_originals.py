import pytest

from iqasr.data.candidates.originals import open_originals
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import UniformSampler


def dataset(root, **options):
    return MultiGTDataset(
        str(root), 32, scale=4, sampling=UniformSampler(candidates='original'), **options
    )


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
