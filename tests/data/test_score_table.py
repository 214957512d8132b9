import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.files.journal import part_of
from iqasr.data.scores.quality_rows import read_rows
from iqasr.data.scores.quality_table import QualityTable
from iqasr.data.scores.score_table import (
    TableScoring,
    score_candidates,
    score_from_options,
    scorer_named,
)
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.quality import (
    NIQEScorer,
    PyIQAScorer,
    QualityScorer,
    find_traits,
    scorer_section,
)
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.distributed import Process

NAMES = ('original', '01', '02')
SCRIPT = Path(__file__).parents[2] / 'scripts/score_candidates.py'


class Brightness(QualityScorer):
    """The mean of the pixels, counting what it scores; may stop after so many images."""

    name, version, score_range = 'brightness', '1', (0.0, 1.0)

    def __init__(self, gain: float = 1.0, stop_after: int = 10**6):
        super().__init__()
        self.gain, self.left, self.calls = gain, stop_after, []

    def _score(self, image, reference=None):
        self.calls.append(len(image))
        self.left -= len(image)
        if self.left < 0:
            raise KeyboardInterrupt
        return image.mean((1, 2, 3)) * self.gain


@pytest.fixture
def brightness():
    SCORER_REGISTRY.register(Brightness)
    yield
    del SCORER_REGISTRY._obj_map['Brightness']


def write_image(path, value):
    os.makedirs(path.parent, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))


@pytest.fixture
def source(tmp_path):
    for index, name in enumerate('abcde'):
        write_image(tmp_path / 'set' / 'original' / f'{name}.png', 10 * index)
        write_image(tmp_path / 'set' / '01' / f'{name}_01.png', 10 * index + 1)
        write_image(tmp_path / 'set' / '02' / f'{name}_02.png', 10 * index + 2)
    return tmp_path / 'set'


@pytest.fixture
def expected(source, tmp_path):
    return score_candidates(str(source), Brightness(), str(tmp_path / 'expected.csv')).read_bytes()


def test_every_candidate_is_scored_in_order(source):
    table = score_candidates(str(source), Brightness())
    assert table == source / 'quality_brightness.csv'
    rows = read_rows(table)
    assert [(row.key, row.candidate) for row in rows] == [(k, i) for k in 'abcde' for i in NAMES]
    values = [10 * index + candidate for index in range(5) for candidate in range(3)]
    np.testing.assert_allclose([row.quality * 255 for row in rows], values, atol=1e-4)


def test_lmdb_and_folder_give_the_same(source, tmp_path, expected):
    create_lmdb(str(source), str(tmp_path / 'set.lmdb'))
    table = score_candidates(str(tmp_path / 'set.lmdb'), Brightness())
    assert table == tmp_path / 'set.lmdb' / 'quality_brightness.csv'
    assert table.read_bytes() == expected


def test_a_group_is_scored_together_up_to_the_batch(source):
    scorer = Brightness()
    score_candidates(str(source), scorer, batch=2)
    assert scorer.calls == [2, 1] * 5


def test_two_processes_give_the_same(source, tmp_path, expected):
    table, candidates = tmp_path / 'two.csv', open_candidates(str(source))
    for rank in (1, 0):
        process = Process(rank, world_size=2)
        TableScoring(Brightness(), table, 8, process).score_share(candidates)
    assert len(read_rows(part_of(table, 0))) == 9
    assert len(read_rows(part_of(table, 1))) == 6
    TableScoring(Brightness(), table, 8, Process(0, world_size=2)).merge(candidates.groups)
    assert table.read_bytes() == expected
    assert not list(tmp_path.glob('two.csv.*'))


def test_killed_run_continues_with_another_number_of_processes(source, tmp_path, expected):
    table, candidates = tmp_path / 'killed.csv', open_candidates(str(source))
    for rank, stop_after in ((0, 4), (1, 5)):
        process = Process(rank, world_size=2)
        with pytest.raises(KeyboardInterrupt):
            TableScoring(Brightness(1.0, stop_after), table, 8, process).score_share(candidates)
    cut = part_of(table, 1)
    cut.write_bytes(cut.read_bytes()[:-9])
    scorer = Brightness()
    score_candidates(str(source), scorer, str(table))
    assert table.read_bytes() == expected
    assert sum(scorer.calls) == 15 - 3 - 2
    assert not list(tmp_path.glob('killed.csv.*'))


def test_second_run_scores_nothing(source, expected):
    score_candidates(str(source), Brightness())
    scorer = Brightness()
    assert score_candidates(str(source), scorer).read_bytes() == expected
    assert scorer.calls == []


def test_only_changed_images_are_scored_again(source):
    score_candidates(str(source), Brightness())
    write_image(source / '01' / 'c_01.png', 255)
    scorer = Brightness()
    table = QualityTable.read(str(score_candidates(str(source), scorer)))
    assert scorer.calls == [1]
    assert table.rows('c', NAMES)[0].tolist() == pytest.approx([20 / 255, 1.0, 22 / 255])


def test_new_version_scores_everything_again(source):
    score_candidates(str(source), Brightness())
    scorer = Brightness(gain=0.5)
    scorer.version = '2'
    table = QualityTable.read(str(score_candidates(str(source), scorer)))
    assert sum(scorer.calls) == 15
    assert table.version == '2'
    assert table.rows('b', NAMES)[0, 0].item() == pytest.approx(5 / 255)


def test_other_scorers_in_the_table_are_kept(source, tmp_path):
    other = Brightness(gain=2.0)
    other.name = 'other'
    for scorer in (Brightness(), other, Brightness()):
        score_candidates(str(source), scorer, str(tmp_path / 'both.csv'))
    rows = read_rows(tmp_path / 'both.csv')
    assert len(rows) == 30
    values = {(row.scorer, row.key, row.candidate): row.quality for row in rows}
    assert values['other', 'e', '02'] == 2 * values['brightness', 'e', '02']


def test_removed_groups_leave_the_table(source):
    score_candidates(str(source), Brightness())
    for path in (source / 'original' / 'a.png', source / '01' / 'a_01.png', source / '02/a_02.png'):
        path.unlink()
    table = score_candidates(str(source), Brightness())
    assert {row.key for row in read_rows(table)} == set('bcde')


def test_absent_candidate_gets_no_row(source):
    (source / '01' / 'b_01.png').unlink()
    table = QualityTable.read(str(score_candidates(str(source), Brightness())))
    values = [10 / 255, 12 / 255]
    assert table.rows('b', ('original', '02'))[0].tolist() == pytest.approx(values)
    with pytest.raises(ValueError, match='but original, 02 were scored'):
        table.rows('b', NAMES)


def test_quality_stays_with_its_candidate_when_another_is_added(source):
    score_candidates(str(source), Brightness())
    for index, name in enumerate('abcde'):
        write_image(source / '00' / f'{name}_00.png', 200 + index)
    scorer = Brightness()
    table = QualityTable.read(str(score_candidates(str(source), scorer)))
    assert sum(scorer.calls) == 5
    values = [10 / 255, 11 / 255, 12 / 255, 201 / 255]
    assert table.rows('b', (*NAMES, '00'))[0].tolist() == pytest.approx(values)


def test_images_of_one_size_are_scored_together_wherever_they_lie(source):
    assert cv2.imwrite(str(source / '01' / 'a_01.png'), np.full((8, 9, 3), 255, np.uint8))
    scorer = Brightness()
    table = QualityTable.read(str(score_candidates(str(source), scorer)))
    assert scorer.calls == [2, 1, 3, 3, 3, 3]
    assert table.rows('a', NAMES)[0].tolist() == pytest.approx([0.0, 1.0, 2 / 255])


def test_refused_image_is_named(source):
    with pytest.raises(ValueError, match=r'original/a\.png: niqe: the image has 8x8 pixels'):
        score_candidates(str(source), NIQEScorer())


def test_channels_arrive_as_rgb(source):
    class Red(Brightness):
        def _score(self, image, reference=None):
            return image[:, 0].mean((1, 2))

    assert cv2.imwrite(
        str(source / 'original' / 'a.png'), np.full((8, 8, 3), (0, 0, 255), np.uint8)
    )
    table = QualityTable.read(str(score_candidates(str(source), Red())))
    assert table.rows('a', NAMES)[0, 0] == 1


@pytest.mark.usefixtures('brightness')
def test_names_find_registered_scorers_first():
    assert isinstance(scorer_named('niqe', {}), NIQEScorer)
    assert scorer_named('brightness', {'gain': 3.0}).gain == 3.0
    entropy = scorer_named('entropy', {})
    assert isinstance(entropy, PyIQAScorer)
    assert entropy.name == 'entropy'


@pytest.mark.parametrize(
    ('name', 'section'),
    [
        ('lpips', {'type': 'LPIPSScorer'}),
        ('LPIPSScorer', {'type': 'LPIPSScorer'}),
        ('lpips-vgg', {'type': 'LPIPSScorer', 'net': 'vgg'}),
        ('stlpips-vgg', {'type': 'STLPIPSScorer', 'net': 'vgg'}),
        ('dists', {'type': 'DISTSScorer'}),
        ('nima-mobilenet', {'type': 'NIMAScorer'}),
        ('NIMAScorer', {'type': 'NIMAScorer'}),
        ('nima', {'type': 'PyIQAScorer', 'metric': 'nima'}),
    ],
)
def test_names_of_pyiqa_mean_the_same_metric_here(name, section):
    assert scorer_section(name) == section
    assert scorer_section(name, {}) is not scorer_section(name)


def test_name_takes_options():
    assert scorer_section('nima-mobilenet', {'crop': 96}) == {'type': 'NIMAScorer', 'crop': 96}
    with pytest.raises(ValueError, match=r"'lpips-vg'.*Did you mean 'lpips-vgg'"):
        scorer_section('lpips-vg')


@pytest.mark.parametrize(
    ('name', 'section', 'lower_better', 'needs_reference', 'differentiable'),
    [
        ('NIMA-mobilenet', {'type': 'NIMAScorer'}, False, False, True),
        ('niqe', {'type': 'NIQEScorer'}, True, False, False),
        ('LPIPS-VGG', {'type': 'LPIPSScorer', 'net': 'vgg'}, True, True, True),
        ('Q-Align', {'type': 'PyIQAScorer', 'metric': 'qalign'}, False, False, False),
        ('PSNR', {'type': 'PyIQAScorer', 'metric': 'psnr'}, False, True, True),
        ('clipiqa+', {'type': 'PyIQAScorer', 'metric': 'clipiqa+'}, False, False, True),
    ],
)
def test_traits_are_known_by_name(name, section, lower_better, needs_reference, differentiable):
    assert find_traits(name) == (section, lower_better, needs_reference, differentiable)


@pytest.mark.parametrize('name', ['ensemble', 'beauty'])
def test_nothing_is_known_of_what_cannot_be_built_by_name(name):
    assert find_traits(name) is None


@pytest.mark.usefixtures('brightness')
def test_command_builds_and_scores(source, tmp_path):
    table = score_from_options(
        str(source), 'brightness', {'gain': 0.5}, str(tmp_path / 'new' / 'half.csv'), cpu=True
    )
    assert QualityTable.read(str(table)).rows('e', NAMES)[0, 0].item() == pytest.approx(20 / 255)


def test_crops_without_a_map_are_refused(source, tmp_path):
    command = [sys.executable, str(SCRIPT), '-i', str(source)]
    command += ['--scorer', 'ranker', '--crop', '64', '-o', str(tmp_path / 'q.csv')]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert '--crop and --stride are for --map' in done.stderr
    assert not (tmp_path / 'q.csv').exists()


def test_full_reference_metric_is_refused(source):
    with pytest.raises(ValueError, match='psnr: compares with a reference'):
        score_candidates(str(source), PyIQAScorer('psnr'))


def test_empty_batch_is_refused(source):
    with pytest.raises(ValueError, match='batch is 0'):
        score_candidates(str(source), Brightness(), batch=0)


def test_global_generator_is_left_alone(source):
    state = torch.get_rng_state()
    score_candidates(str(source), Brightness())
    assert torch.equal(torch.get_rng_state(), state)
