"""Training on a device and on the CPU: the same losses, the same weights."""

import json
from pathlib import Path

import pytest
import torch
from devices import CPU, assert_same_movement

from iqasr.degradation.jpeg import diff_jpeg

pytestmark = pytest.mark.cuda

ITERATIONS = 20
KINDS = ['l1', 'gan', 'quality', 'lora', 'anchors', 'full reference', 'online']


def largest_gap(found, expected, names):
    """The largest relative difference of logged values, and where it is."""
    gaps = {
        (iteration, name): abs(own[name] - theirs[name]) / (abs(theirs[name]) + 1e-4)
        for iteration, (own, theirs) in enumerate(zip(found, expected, strict=True), 1)
        for name in names
    }
    place = max(gaps, key=gaps.get)
    iteration, name = place
    values = f'{found[iteration - 1][name]:.6g} for {expected[iteration - 1][name]:.6g}'
    return gaps[place], f'{name} of iteration {iteration} differs by {gaps[place]:.2g}: {values}'


@pytest.mark.parametrize('kind', KINDS)
def test_a_run_goes_as_on_the_cpu(kind, options_of, trained, device, monkeypatch):
    monkeypatch.setattr('iqasr.losses.views.jpeg', diff_jpeg)  # the CPU would take the codec
    options = options_of(kind)
    iterations = ITERATIONS if kind != 'full reference' else 5
    expected, found = (trained(options, where, iterations) for where in (CPU, device))
    assert {p.device.type for p in found.model.net_g.parameters()} == {device.type}
    names = sorted(expected.logs[0].keys())
    assert found.logs[0].keys() == expected.logs[0].keys()
    gap, where = largest_gap(found.logs[:1], expected.logs[:1], names)
    assert gap < 1e-3, where
    # Rounding is amplified: a step of Adam depends on the sign of the smallest gradient, too.
    gap, where = largest_gap(found.logs, expected.logs, [n for n in names if n[:2] != 'w_'])
    assert gap < 1e-2, where
    ends = (run.model.net_g.state_dict() for run in (found, expected))
    assert_same_movement(*ends, expected.start, share=0.05)
    assert found.model.is_finite()


def test_the_command_trains_validates_and_saves_as_on_the_cpu(
    options_of, train, weights_of, device
):
    options = options_of('anchors')
    options['train']['total_iter'] = 6
    scorer = {'type': 'calculate_quality', 'scorer': {'type': 'RankerScorer'}}
    options['val']['metrics']['ranker'] = scorer
    runs = {'cpu': 0, 'device': 0 if device.type == 'cpu' else 'auto'}
    for name, num_gpu in runs.items():
        assert train(options | {'name': name, 'num_gpu': num_gpu}) == 0, name
    root, found = Path(options['path']['root']) / 'experiments', {}
    for name in runs:
        for key in ('params', 'params_ema'):
            found[name, key] = weights_of(options | {'name': name}, 6, key=key)
        assert {p.suffix for p in (root / name / 'training_states').iterdir()} >= {'.state'}
    start = weights_of(options | {'name': 'cpu'}, 0)
    for key in ('params', 'params_ema'):
        assert_same_movement(found['device', key], found['cpu', key], start, share=0.05)
    assert all(value.device == CPU for value in found['device', 'params'].values())
    best = [json.loads((root / name / 'best.json').read_text())['records'] for name in runs]
    expected, found = ({k: record['value'] for k, record in records.items()} for records in best)
    assert found.keys() == {'pieces/psnr', 'pieces/ranker'}
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_default_number_of_gpus_trains_on_the_gpu(options_of, train, device):
    if device.type == 'cpu':
        pytest.skip('a GPU is needed')
    torch.cuda.reset_peak_memory_stats()
    options = options_of('l1') | {'num_gpu': 'auto'}
    options['train']['total_iter'] = 1
    before = torch.cuda.memory_allocated()
    assert train(options) == 0
    assert torch.cuda.max_memory_allocated() > before, 'nothing was computed on the GPU'
