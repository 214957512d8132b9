"""Candidates of a folder of photographs: read back, killed, shared out, refused."""

import csv
import hashlib
import multiprocessing
import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from enhancement.photograph_files import Darken, darkened, read_photograph, write_photograph

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.checks.candidate_checks import check_candidates
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.enhancement.candidate_maker import make_candidates
from iqasr.enhancement.contact_sheet import write_contact_sheet
from iqasr.enhancement.recipe import Recipe
from iqasr.enhancement.run import enhance_from_words
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError
from iqasr.sampling import UniformSampler


def hashes(folder):
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture
def expected(source, settings, tmp_path):
    """Hashes of the files that an undisturbed run of one process makes."""
    make_candidates(str(source), str(tmp_path / 'whole'), settings)
    return hashes(tmp_path / 'whole')


def rows_of(target):
    with open(target / 'sources.csv', encoding='utf-8', newline='') as file:
        return {row['source']: row for row in csv.DictReader(file)}


def test_patches_are_those_of_photograph_and_candidates(source, settings, tmp_path):
    account = make_candidates(str(source), str(tmp_path / 'set'), settings)
    groups = open_candidates(str(tmp_path / 'set')).groups
    made = [key for of_one in account.groups.values() for key in of_one]
    assert [group.key for group in groups] == sorted(made)
    assert len(groups) >= 5
    for group in groups:
        name, top, left = group.key.split('-')
        place = np.s_[int(top) : int(top) + 48, int(left) : int(left) + 48]
        original, candidate, _ = (read_photograph(tmp_path / 'set' / f) for f in names(group))
        photograph = read_photograph(source / f'{name}.png')
        assert np.array_equal(original, photograph[place])
        assert np.array_equal(candidate, darkened(photograph)[place])


def names(group):
    return [f'original/{group.key}.png', *(f'{f}/{group.key}_{f}.png' for f in ('01', '02'))]


def test_data_set_reads_what_was_made(source, settings, tmp_path):
    make_candidates(str(source), str(tmp_path / 'set'), replace(settings, patches=None))
    found = open_candidates(str(tmp_path / 'set'))
    assert [group.names for group in found.groups] == [('original', '01', '02')] * 5
    assert check_candidates(found, min_size=96, decode=True) == []
    sampler = UniformSampler(candidates='enhanced')
    dataset = MultiGTDataset(str(tmp_path / 'set'), 64, scale=1, margin=16, sampling=sampler)
    assert len(dataset) == 5


def killed_while_writing(source, target, settings, after):
    """Make candidates in a process that kills itself before its n-th file is safely written."""

    def fsync(descriptor, left=[after]):  # noqa: B006 - counts down
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def work():
        os.fsync = fsync
        make_candidates(str(source), str(target), settings)

    child = multiprocessing.get_context('fork').Process(target=work)
    child.start()
    child.join()
    return child.exitcode


@pytest.mark.parametrize('after', [0, 3, 7, 12, 20, 31])
def test_killed_at_any_time_and_resumed_gives_the_same(source, settings, tmp_path, expected, after):
    target = tmp_path / 'killed'
    assert killed_while_writing(source, target, settings, after) == -signal.SIGKILL
    for part in target.glob('.*.rank0'):
        part.write_bytes(part.read_bytes() + b'["e", {"gro')
    killed_while_writing(source, target, settings, 2)
    make_candidates(str(source), str(target), settings)
    assert hashes(target) == expected


class OneOfTwo(Process):
    """One of two processes that are threads."""

    def gather(self, value):
        barrier, values = self.control
        values[self.rank] = value
        barrier.wait()
        found = list(values)
        barrier.wait()
        return found

    def barrier(self):
        self.control[0].wait()


def test_two_processes_give_the_same(source, settings, tmp_path, expected):
    target, shared = tmp_path / 'two', (threading.Barrier(2, timeout=60), [None, None])
    killed_while_writing(source, target, settings, 17)
    recipes = [[Recipe([Darken()]), settings.recipes[1]] for _ in range(2)]
    work = [
        threading.Thread(
            target=make_candidates,
            args=(str(source), str(target), replace(settings, recipes=own)),
            kwargs={'process': OneOfTwo(rank, 2, control=shared)},
        )
        for rank, own in enumerate(recipes)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert hashes(target) == expected
    counts = [own[0].steps[0].count for own in recipes]
    assert all(counts)
    assert sum(counts) < 5  # what was done before the kill is not done again


def test_second_run_enhances_what_is_new(source, settings, photographs, tmp_path):
    make_candidates(str(source), str(tmp_path / 'set'), settings)
    write_photograph(source / 'f.png', photographs[1])
    again = replace(settings, recipes=[Recipe([Darken()]), settings.recipes[1]])
    make_candidates(str(source), str(tmp_path / 'set'), again)
    assert again.recipes[0].steps[0].count == 1
    assert rows_of(tmp_path / 'set')['f']['status'] == 'enhanced'


def test_candidates_go_with_their_photographs(source, settings, tmp_path, caplog):
    target = tmp_path / 'set'
    make_candidates(str(source), str(target), settings)
    expected = hashes(target)
    (source / 'b.png').rename(tmp_path / 'b.png')
    larger = read_photograph(source / 'a.png').repeat(2, axis=0).repeat(2, axis=1)
    write_photograph(source / 'f.png', larger)  # of two alike, the larger one is kept
    make_candidates(str(source), str(target), settings)
    names = {group.key.split('-')[0] for group in open_candidates(str(target)).groups}
    assert rows_of(target)['a']['status'] == 'near-duplicate'
    assert names == {*'cdef'}
    assert 'files in' in caplog.text
    (tmp_path / 'others').mkdir()
    write_photograph(tmp_path / 'others/x.png', larger)
    before = hashes(target)
    with pytest.raises(DataError, match='holds none of the photographs'):
        make_candidates(str(tmp_path / 'others'), str(target), settings)
    assert hashes(target) == before
    (source / 'f.png').unlink()
    (tmp_path / 'b.png').rename(source / 'b.png')
    make_candidates(str(source), str(target), settings)
    assert (
        hashes(target).items()
        >= {n: h for n, h in expected.items() if n.endswith('.png') and 'sheet' not in n}.items()
    )
    assert {*hashes(target)} == {*expected}


def test_the_sheet_shows_the_square_with_the_most_detail_in_grey(tmp_path):
    image = np.full((192, 384, 3), 128, np.uint8)
    image[::2, :192, 2] = image[::2, 192:, 0] = 228  # blue left; red, which is brighter, right
    write_photograph(tmp_path / 'a.png', image)
    write_contact_sheet(tmp_path / 'sheet.png', [[tmp_path / 'a.png']], ['original'])
    shown = read_photograph(tmp_path / 'sheet.png')[-384:]
    assert shown[..., 2].std() == 0 < shown[..., 0].std()


def test_broken_photograph_is_named_and_left_out(source, tmp_path, caplog):
    (source / 'c.png').write_bytes((source / 'c.png').read_bytes()[:900])
    target = tmp_path / 'set'
    words = {'whole': True, 'cpu': True}
    assert enhance_from_words(str(source), str(target), ['UnsharpMask'], **words) == 1
    assert f'left out: {source}/c.png: cut short' in caplog.text
    assert [group.key for group in open_candidates(str(target)).groups] == list('abde')
    assert rows_of(target)['c']['status'] == 'unreadable'
    write_photograph(source / 'c.png', read_photograph(source / 'd.png')[:, ::-1])
    assert enhance_from_words(str(source), str(target), ['UnsharpMask'], **words) == 0
    assert len(open_candidates(str(target)).groups) == 5


def test_photographs_smaller_than_a_patch_are_left_out(source, settings, tmp_path):
    larger = replace(settings, patches=replace(settings.patches, size_px=97))
    make_candidates(str(source), str(tmp_path / 'set'), larger)
    row = rows_of(tmp_path / 'set')['a']
    assert (row['status'], row['reason']) == ('small', '96 x 96 px, needs 97 each way')


def test_photograph_without_a_good_patch_is_reported(source, settings, tmp_path):
    strict = replace(settings, patches=replace(settings.patches, least_contrast=200))
    make_candidates(str(source), str(tmp_path / 'set'), strict)
    assert {row['status'] for row in rows_of(tmp_path / 'set').values()} == {'no patch'}


def test_other_settings_and_changed_photographs_are_refused(source, settings, tmp_path):
    target = str(tmp_path / 'set')
    make_candidates(str(source), target, settings)
    with pytest.raises(DataError, match=r'other settings \(patches\)\. Repeat those, or give'):
        make_candidates(str(source), target, replace(settings, patches=None))
    with pytest.raises(DataError, match=r'other settings \(candidates\)'):
        make_candidates(str(source), target, replace(settings, recipes=settings.recipes[:1]))
    write_photograph(source / 'b.png', read_photograph(source / 'a.png')[::-1])
    with pytest.raises(DataError, match=r'b\.png: has changed since its candidates'):
        make_candidates(str(source), target, settings)


def test_folders_that_cannot_be_used_are_refused(source, settings, tmp_path):
    with pytest.raises(DataError, match='there is no such folder of photographs'):
        make_candidates(str(tmp_path / 'nothing'), str(tmp_path / 'set'), settings)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match='empty: holds no image'):
        make_candidates(str(tmp_path / 'empty'), str(tmp_path / 'set'), settings)
    (tmp_path / 'foreign' / 'original').mkdir(parents=True)
    with pytest.raises(DataError, match='candidates that this command did not make'):
        make_candidates(str(source), str(tmp_path / 'foreign'), settings)
    write_photograph(source / 'a.jpg', read_photograph(source / 'a.png'))
    with pytest.raises(DataError, match='has the same name'):
        make_candidates(str(source), str(tmp_path / 'set'), settings)
