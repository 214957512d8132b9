"""Images drawn in proportion to weights, as a function of place."""

import itertools
from collections import Counter

import pytest

from iqasr.data.build import build_dataset
from iqasr.data.candidates.sampling_weights import SamplingWeights
from iqasr.data.loader import training_stream
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.options.sections import LoaderOptions
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import UniformSampler

KEYS = ['a', 'b', 'c', 'd']


@pytest.fixture
def write(tmp_path):
    def write_lines(*lines, name='weights.csv'):
        (tmp_path / name).write_text('\n'.join(['key,weight', *lines]) + '\n')
        return str(tmp_path / name)

    return write_lines


def epoch(weights, seed, size=4):
    return [weights.draw(index, generator_at(seed, index)) for index in range(size)]


def test_equal_weights_take_every_image_once(write):
    weights = SamplingWeights(write('a,2', 'b,2', 'c,2', 'd,2'), KEYS)
    assert epoch(weights, 0) == epoch(weights, 1) == [0, 1, 2, 3]


def test_weights_whose_sum_is_beyond_a_float_count_like_others(write):
    weights = SamplingWeights(write('a,1e308', 'b,1e308', 'c,1e308', 'd,1e308'), KEYS)
    assert epoch(weights, 0) == [0, 1, 2, 3]


def test_each_epoch_draws_each_image_about_as_often_as_expected(write):
    keys = [str(number) for number in range(40)]
    own = [number % 5 for number in range(40)]
    weights = SamplingWeights(write(*(f'{k},{w}' for k, w in zip(keys, own, strict=True))), keys)
    total = Counter()
    for seed in range(50):
        counts = Counter(epoch(weights, seed, 40))
        assert all(abs(counts[k] - w * 40 / sum(own)) < 2 for k, w in enumerate(own))
        total += counts
    assert all(total[k] == 0 for k in range(0, 40, 5))
    # Mean over 50 epochs; the standard deviation of one is below 0.75.
    assert all(abs(total[k] / 50 - w / 2) < 0.4 for k, w in enumerate(own))


def test_a_rare_image_is_drawn_by_its_share(write):
    weights = SamplingWeights(write('a,1', 'b,1', 'c,1', 'd,0.1', 'other,7'), KEYS)
    drawn = [epoch(weights, seed).count(3) for seed in range(1000)]
    assert sum(drawn) / 1000 == pytest.approx(0.4 / 3.1, abs=4 * 0.011)


def stream(root, workers, count, start=0, **options):
    data = MultiGTDataset(root, 16, scale=4, sampling=UniformSampler(), margin=8, **options)
    loader = LoaderOptions(type='MultiGTDataset', batch_size_per_gpu=2, num_worker_per_gpu=workers)
    with training_stream(data, loader, seed=3, start=start) as batches:
        return [key for [batch] in itertools.islice(batches, count) for key in batch['key']]


def test_draws_depend_on_the_place_alone(make_set, write):
    path = write('a,1', 'b,0', 'c,3')
    root = make_set()
    keys = stream(root, 0, 12, sampling_weights=path)
    assert stream(root, 2, 12, sampling_weights=path) == keys
    assert stream(root, 0, 6, start=12, sampling_weights=path) == keys[12:]
    assert set(keys) == {'a', 'c'}
    assert 16 <= keys.count('c') <= 20
    assert sorted(stream(root, 0, 3)) == ['a', 'a', 'b', 'b', 'c', 'c']


def test_option_is_a_path_of_the_section(make_set, write, monkeypatch, tmp_path):
    write('a,1', 'b,0', 'c,0')
    root = make_set()
    monkeypatch.chdir(tmp_path)
    section = {
        'type': 'MultiGTDataset',
        'dataroot_gt': root,
        'gt_size': 16,
        'margin': 8,
        'sampling': {'type': 'UniformSampler'},
        'sampling_weights': 'weights.csv',
    }
    data = build_dataset(section, scale=4, phase='train')
    assert {data[index]['key'] for index in range(3)} == {'a'}


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['a,1', 'b,1'], "2 problems in the data.*no weight for 'c'.*no weight for 'd'"),
        (['a,1', 'b,nan', 'c,-1', 'd,x'], "line 3: 'nan'.*line 4: '-1'.*line 5: 'x'"),
        (['a,1', 'b'], "line 3: 'None'|line 3: ''"),
        (['a,1', 'a,2'], "'a' has two weights"),
        (['a,0', 'b,0', 'c,0', 'd,0'], 'all weights are 0'),
    ],
)
def test_wrong_weights_are_refused(lines, message, write):
    with pytest.raises(DataError, match=f'(?s){message}'):
        SamplingWeights(write(*lines), KEYS)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match='cannot be read as weights'):
        SamplingWeights(str(tmp_path / 'none.csv'), KEYS)
    (tmp_path / 'other.csv').write_text('name,weight\na,1\n')
    with pytest.raises(DataError, match='no column key'):
        SamplingWeights(str(tmp_path / 'other.csv'), KEYS)
