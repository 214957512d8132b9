import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from iqasr.registry import (
    ARCH_REGISTRY,
    ENHANCER_REGISTRY,
    LOSS_REGISTRY,
    SCORER_REGISTRY,
    build,
)
from iqasr.runtime.atomic_files import save_atomically
from iqasr.runtime.checkpoint_folder import CheckpointFolder
from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.weights import load_file, load_network


def network(width=3):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.Conv2d(width, 3, 3))


@pytest.fixture
def saved(tmp_path):
    """A checkpoint in BasicSR's form whose two sets of weights differ."""
    params, averaged = network().state_dict(), network().state_dict()
    torch.save({'params': params, 'params_ema': averaged}, tmp_path / 'net.pth')
    return tmp_path / 'net.pth', params, averaged


@pytest.mark.parametrize('key', ['params', 'params_ema'])
def test_the_weights_asked_for_are_loaded(key, saved, same_weights):
    path, params, averaged = saved
    target = network()
    load_network(target, path, key=key)
    same_weights(target.state_dict(), params if key == 'params' else averaged)


def test_bare_prefixed_and_safetensors_files_load(tmp_path, same_weights):
    source = network()
    prefixed = {f'module.{key}': value for key, value in source.state_dict().items()}
    torch.save(prefixed, tmp_path / 'bare.pth')
    save_file(source.state_dict(), tmp_path / 'net.safetensors')
    for name in ('bare.pth', 'net.safetensors'):
        target = network()
        load_network(target, tmp_path / name)
        same_weights(target.state_dict(), source.state_dict())


def test_weights_of_another_network_are_refused_with_what_differs(saved):
    with pytest.raises(
        CheckpointError, match=r'another network than Sequential: 1 of 4 fit; 3 of another size'
    ):
        load_network(network(width=5), saved[0])


def test_loading_what_fits_leaves_the_rest(saved):
    target = network(width=5)
    before = target[0].weight.clone()
    load_network(target, saved[0], strict=False)
    assert torch.equal(target[0].weight, before)
    assert torch.equal(target[1].bias, saved[1]['1.bias'])


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'It is empty'),
        (b'<html>', "It is no checkpoint, as it begins with b'<html>'"),
        (b'PK\x03\x04 cut', 'It is cut short'),
    ],
)
def test_damaged_file_is_named(content, reason, tmp_path):
    path = tmp_path / 'net.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'net\.pth: cannot be read\. {reason}'):
        load_file(path)


def test_list_is_no_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / 'net.pth')
    with pytest.raises(CheckpointError, match=r'net\.pth: holds no weights; found a list'):
        load_file(tmp_path / 'net.pth')


class Dangerous:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f'open({str(self.path)!r}, "w")',))


def test_pickled_code_is_not_run(tmp_path):
    torch.save({'params': Dangerous(tmp_path / 'run')}, tmp_path / 'net.pth')
    with pytest.raises(CheckpointError, match='holds more than tensors and numbers'):
        load_file(tmp_path / 'net.pth')
    assert not (tmp_path / 'run').exists()


class Careless(nn.Module):
    """A network of others, which unpickles freely."""

    def __init__(self, path):
        super().__init__()
        self.content = torch.load(path, weights_only=False)


@pytest.mark.parametrize(
    'registry', [ARCH_REGISTRY, ENHANCER_REGISTRY, LOSS_REGISTRY, SCORER_REGISTRY]
)
def test_what_is_built_from_options_runs_no_code_in_files(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, '_obj_map', {'Careless': Careless})
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    torch.save({'params': Dangerous(tmp_path / 'run')}, tmp_path / 'net.pth')
    with pytest.raises(ValueError, match='Careless: a weight file cannot be read safely'):
        build(registry, {'type': 'Careless', 'path': tmp_path / 'net.pth'})
    assert not (tmp_path / 'run').exists()
    assert os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] == '1'
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ
    torch.save({'params': torch.ones(2)}, tmp_path / 'net.pth')
    built = build(registry, {'type': 'Careless', 'path': tmp_path / 'net.pth'})
    assert built.content['params'].tolist() == [1, 1]


def test_failed_save_keeps_the_old_file_and_leaves_no_rest(tmp_path, monkeypatch):
    path = tmp_path / 'net.pth'
    save_atomically({'a': torch.ones(2)}, path)

    def full_disk(content, file):
        file.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full_disk)
    with pytest.raises(CheckpointError, match=r'No space left.*--auto_resume'):
        save_atomically({'a': torch.zeros(2)}, path)
    monkeypatch.undo()
    assert torch.equal(load_file(path)['a'], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ['net.pth']


def test_newest_whole_checkpoint_is_found(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for iteration in (5, 10, 20):
        networks = {'net_g': {'params': {'w': torch.tensor(iteration)}}}
        folder.save(iteration, networks, {'iter': iteration, 'networks': ['net_g']})
    (tmp_path / 'models/net_g_20.pth').unlink()
    assert folder.find_newest() == tmp_path / 'training_states/10.state'
    networks, state = folder.load(10)
    assert (state['iter'], int(networks['net_g']['params']['w'])) == (10, 10)


def test_nothing_whole_is_an_error_and_nothing_at_all_is_not(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert folder.find_newest() is None
    folder.save(5, {'net_g': {}}, {'iter': 5, 'networks': ['net_g']})
    (tmp_path / 'training_states/5.state').write_bytes(b'')
    with pytest.raises(CheckpointError, match='No checkpoint'):
        folder.find_newest()


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('key', ['params', 'params_ema'])
def test_non_finite_weights_are_refused_with_file_and_parameter(value, key, saved):
    path, *weights = saved
    for content in weights:
        content['1.weight'].view(-1)[3] = value
    torch.save(dict(zip(('params', 'params_ema'), weights, strict=True)), path)
    with pytest.raises(CheckpointError, match=r'net\.pth: holds NaN or infinity in 1\.weight\. '):
        load_network(network(), path, key=key)


def test_a_checkpoint_that_is_not_finite_is_passed_over(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for iteration, value in ((5, 1.0), (10, float('nan'))):
        networks = {'net_g': {'params': {'w': torch.tensor([0.0, value])}}}
        folder.save(iteration, networks, {'iter': iteration, 'networks': ['net_g']})
    assert folder.find_newest() == tmp_path / 'training_states/5.state'
    with pytest.raises(CheckpointError, match=r'net_g_10\.pth: holds NaN or infinity in w\.'):
        folder.load(10)
