"""Captured passes; torch's graphs themselves are tested on a GPU, see tests/device."""

from contextlib import contextmanager, nullcontext
from unittest.mock import MagicMock

import pytest
import torch
from torch import nn

from iqasr.models.cuda_graphs import CapturedFunction, CapturedNetwork, kept_buffers
from iqasr.models.speed import reason_not_to_capture
from iqasr.options.sections import Options
from iqasr.runtime.distributed import Process

SAMPLE = torch.rand(2, 3, 8, 8)


@pytest.fixture
def captured(monkeypatch):
    """A network whose capture is replaced by a pass that moves its running mean, and a mark."""

    def capture(module, samples, **_):
        module(*samples)
        return lambda image: module(image) + 100

    monkeypatch.setattr(torch.cuda, 'make_graphed_callables', capture)
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    caches = []

    @contextmanager
    def autocast(cache_enabled):
        caches.append(cache_enabled)
        yield

    captured = CapturedNetwork(network, SAMPLE, autocast)
    assert caches == [False]
    return captured


def test_a_capture_leaves_the_buffers_as_they_were(captured):
    norm = captured.network[1]
    assert torch.equal(norm.running_mean, torch.zeros(3))
    assert norm.num_batches_tracked == 0


def test_only_batches_of_the_captured_size_in_training_take_the_graphs(captured):
    assert captured(SAMPLE).min() > 50
    assert captured(SAMPLE[:1]).max() < 50
    assert captured(torch.rand(2, 3, 8, 9)).max() < 50
    captured.network.eval()
    assert captured(SAMPLE).max() < 50


@pytest.mark.parametrize(
    ('device', 'processes', 'accumulate', 'reason'),
    [
        ('cuda', 1, 1, None),
        ('cpu', 1, 1, 'no GPU'),
        ('cuda', 2, 1, 'several processes'),
        ('cuda', 1, 2, 'train.accumulate'),
    ],
)
def test_what_keeps_from_capturing(device, processes, accumulate, reason):
    train = {'total_iter': 1, 'optim_g': {'type': 'Adam'}, 'accumulate': accumulate}
    options = Options(name='x', scale=4, datasets={}, train=train)
    process = Process(world_size=processes, device=torch.device(device))
    assert reason_not_to_capture(options, process) == reason


@pytest.fixture
def graphs(monkeypatch):
    """Stand in for CUDA's graphs: a replay calls again what was called in the capture."""

    class Graph:
        def replay(self):
            self.again()

    monkeypatch.setattr(torch.cuda, 'CUDAGraph', Graph)
    monkeypatch.setattr(torch.cuda, 'graph', nullcontext)
    for name in ('Stream', 'current_stream', 'stream'):
        monkeypatch.setattr(torch.cuda, name, MagicMock())


def test_a_captured_function_fills_its_outputs_and_sets_gradients(graphs):
    network = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1))
    network[1].requires_grad_(False)
    weight, output, calls = network[0].weight, torch.zeros(()), []

    def function(image: torch.Tensor) -> torch.Tensor:
        network(image)
        loss = (weight * image).sum()
        loss.backward()
        calls.append(image)
        return output.copy_(loss.detach())

    captured = CapturedFunction(function, [torch.ones(2, 2)], network)
    assert len(calls) == 4
    assert torch.equal(network[1].running_mean, torch.zeros(1))
    assert weight.grad is None
    # As the graph would: into the memory of the capture.
    gradient = captured.gradients[0]
    captured.graph.again = lambda: gradient.copy_(captured.inputs[0].sum(0))
    found = captured(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert found is captured.outputs
    assert weight.grad is gradient
    assert gradient.tolist() == [[4.0, 6.0]]


def test_a_capture_that_fails_leaves_the_buffers_as_they_were():
    network = nn.BatchNorm2d(3)

    def fail() -> None:
        with kept_buffers(network):
            network(SAMPLE)
            raise RuntimeError('not permitted when stream is capturing')

    with pytest.raises(RuntimeError, match='capturing'):
        fail()
    assert torch.equal(network.running_mean, torch.zeros(3))
