import copy
import hashlib
import logging
import math

import pytest
import torch

from iqasr.quality import PyIQAScorer, pyiqa_weights
from iqasr.quality.pyiqa_scorer import parse_range
from iqasr.quality.pyiqa_weights import missing_weights
from iqasr.runtime.errors import MissingWeightsError
from iqasr.runtime.randomness import generator_at

pyiqa = pytest.importorskip('pyiqa')

RANDOM = {'pretrained': False}
IMAGE = torch.rand(2, 3, 96, 80, generator=generator_at('pyiqa'))


@pytest.fixture(scope='module')
def musiq():
    return PyIQAScorer('musiq', options=RANDOM)


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setattr('pyiqa.utils.download_util.DEFAULT_CACHE_DIR', str(tmp_path / 'pyiqa'))
    monkeypatch.setattr('pyiqa.utils.download_util.download_url_to_file', refuse_download)


def refuse_download(url, *_, **__):
    raise ConnectionError('no network in tests')


@pytest.mark.parametrize(('metric', 'sign'), [('piqe', -1), ('entropy', 1)])
def test_equals_pyiqa(metric, sign):
    direct = pyiqa.create_metric(metric, device='cpu')(IMAGE).flatten()
    scorer = PyIQAScorer(metric)
    torch.testing.assert_close(scorer(IMAGE), sign * direct, atol=1e-5, rtol=0)
    torch.testing.assert_close(scorer.published(scorer(IMAGE)), direct, atol=1e-5, rtol=0)


@pytest.mark.parametrize('metric', ['musiq', 'cnniqa'])
def test_network_equals_pyiqa_with_the_same_weights(metric):
    scorer = PyIQAScorer(metric, options=RANDOM)
    direct = pyiqa.create_metric(metric, device='cpu', pretrained=None)
    direct.net.load_state_dict(scorer._network.state_dict())
    torch.testing.assert_close(scorer(IMAGE), direct(IMAGE).flatten(), atol=1e-5, rtol=0)


def test_full_reference_metric_takes_the_reference():
    scorer, reference = PyIQAScorer('psnr'), IMAGE.flip(0)
    by_hand = -10 * (IMAGE - reference).square().mean((1, 2, 3)).log10()
    assert scorer.needs_reference
    torch.testing.assert_close(scorer(IMAGE, reference), by_hand, atol=1e-3, rtol=0)


def test_attributes_come_from_pyiqa(musiq):
    assert musiq.score_range == (0.0, 100.0)
    assert musiq.version == f'pyiqa-{pyiqa.__version__} pretrained=False'
    assert (musiq.differentiable, musiq.lower_better, musiq.needs_reference) == (True, False, False)
    piqe = PyIQAScorer('piqe')
    assert (piqe.lower_better, piqe.differentiable) == (True, False)
    assert piqe.score_range == (-100.0, 0.0)


@pytest.mark.parametrize('value', [0.0, 0.5, 1.0])
def test_musiq_gradient_is_finite_on_flat_images(musiq, value):
    image = torch.full((1, 3, 96, 96), value, requires_grad=True)
    (gradient,) = torch.autograd.grad(musiq(image).sum(), image)
    assert gradient.isfinite().all()


def test_gradient_step_raises_quality(musiq):
    image = IMAGE[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(musiq(image).sum(), image)
    stepped = image.detach() + gradient * 1e-3 / gradient.abs().max()
    assert musiq(stepped) > musiq(image.detach())


def test_no_graph_is_built_under_no_grad(musiq):
    image = IMAGE.clone().requires_grad_()
    with torch.no_grad():
        assert musiq(image).grad_fn is None
    assert musiq(image).grad_fn is not None
    assert PyIQAScorer('piqe')(image).grad_fn is None


def test_network_is_frozen_and_outside_the_module_tree(musiq):
    holder = torch.nn.Sequential(musiq).train()
    assert list(holder.parameters()) == []
    assert holder.state_dict() == {}
    assert not any(module.training for module in musiq._network.modules())
    assert not any(p.requires_grad for p in musiq._network.parameters())
    assert torch.equal(copy.deepcopy(holder)[0](IMAGE), musiq(IMAGE))


def test_random_weights_repeat_and_leave_the_global_generator_alone(musiq):
    state = torch.get_rng_state()
    again = PyIQAScorer('musiq', options=RANDOM)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again(IMAGE), musiq(IMAGE))


def test_making_a_scorer_prints_and_logs_nothing(capsys, tmp_path):
    network = PyIQAScorer('cnniqa', options=RANDOM)._network
    torch.save({'params': network.state_dict()}, tmp_path / 'cnniqa.pth')
    PyIQAScorer('cnniqa', weights=str(tmp_path / 'cnniqa.pth'))
    assert capsys.readouterr().out == ''
    assert not logging.getLogger('pyiqa').isEnabledFor(logging.INFO)


def test_unknown_metric_names_the_nearest():
    with pytest.raises(ValueError, match=r"no metric 'musik'\. Did you mean 'musiq'\?"):
        PyIQAScorer('musik')


def test_unknown_option_is_named():
    with pytest.raises(ValueError, match=r"'cnniqa' cannot be made with ker=3 .*argument 'ker'"):
        PyIQAScorer('cnniqa', options={'ker': 3})


def test_missing_weights_name_file_places_and_remedy(tmp_path):
    with pytest.raises(MissingWeightsError) as caught:
        PyIQAScorer('cnniqa')
    file = 'CNNIQA_koniq10k-e6f14c91.pth'
    message = str(caught.value)
    assert "'cnniqa'" in message
    assert f'https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/{file}' in message
    assert f'Looked in the option `weights` (not given) and at {tmp_path}/pyiqa/{file}' in message
    assert f'put it at {tmp_path}/pyiqa/{file}. Or give the path' in message


def test_missing_backbone_of_hugging_face_names_repository_and_cache():
    def hf_hub_download(repo_id, filename):
        raise FileNotFoundError('cannot reach the hub')

    with pytest.raises(FileNotFoundError) as failed:
        hf_hub_download('timm/resnet50.a1_in1k', 'pytorch_model.bin')
    message = str(missing_weights('topiq_nr', 'own.pth', failed.value))
    assert "'topiq_nr' needs timm/resnet50.a1_in1k/pytorch_model.bin" in message
    assert 'run `hf download timm/resnet50.a1_in1k pytorch_model.bin`' in message
    assert 'HF_ENDPOINT' in message
    assert 'the option `weights` (own.pth)' in message
    assert 'Or give the path' not in message


def test_without_network_nothing_is_waited_for(monkeypatch):
    """A host that does not answer is asked once; files that are here are found all the same."""
    from huggingface_hub import constants

    asked = []

    def refuse(address, timeout):
        asked.append(address)
        raise OSError('Name or service not known')

    pyiqa_weights.is_reachable.cache_clear()
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(pyiqa_weights.urllib.request, 'getproxies', lambda: {'no': 'localhost'})
    monkeypatch.setattr(pyiqa_weights.socket, 'create_connection', refuse)
    for _ in range(2):
        with pyiqa_weights.offline_where_there_is_no_network():
            assert constants.HF_HUB_OFFLINE
        assert not constants.HF_HUB_OFFLINE
    assert asked == [('huggingface.co', 443)]
    pyiqa_weights.is_reachable.cache_clear()
    monkeypatch.setattr(pyiqa_weights.urllib.request, 'getproxies', lambda: {'https': 'proxy:3128'})
    with pyiqa_weights.offline_where_there_is_no_network():
        assert not constants.HF_HUB_OFFLINE
    pyiqa_weights.is_reachable.cache_clear()


def test_weights_from_the_named_place_and_from_the_option_are_used(tmp_path):
    network = PyIQAScorer('cnniqa', options={'pretrained': False, 'n1_nodes': 800})._network
    changed = {name: value + 0.01 for name, value in network.state_dict().items()}
    file = tmp_path / 'pyiqa' / 'CNNIQA_koniq10k-e6f14c91.pth'
    file.parent.mkdir()
    torch.save({'params': changed}, file)
    network.load_state_dict(changed)
    expected = network(IMAGE).flatten()
    torch.testing.assert_close(PyIQAScorer('cnniqa')(IMAGE), expected)
    given = PyIQAScorer('cnniqa', weights=str(file))
    torch.testing.assert_close(given(IMAGE), expected)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    assert given.version.endswith(f'weights=CNNIQA_koniq10k-e6f14c91.pth {digest}')


def test_missing_weights_option_is_refused_at_once():
    with pytest.raises(FileNotFoundError, match=r'cnniqa: weights: .*nowhere\.pth does not exist'):
        PyIQAScorer('cnniqa', weights='nowhere.pth')


def test_weights_that_do_not_fit_are_refused(tmp_path):
    torch.save({'params': {'conv9.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r"(?s)'cnniqa' cannot be made .*other\.pth.*conv9"):
        PyIQAScorer('cnniqa', weights=str(tmp_path / 'other.pth'))


class Trap:
    def __reduce__(self):
        return (pytest.fail, ('the pickle ran code',))


def test_weights_that_would_run_code_are_refused(tmp_path):
    torch.save({'params': Trap()}, tmp_path / 'trap.pth')
    with pytest.raises(ValueError, match=r'trap\.pth cannot be read safely'):
        PyIQAScorer('cnniqa', weights=str(tmp_path / 'trap.pth'))


@pytest.mark.parametrize(
    ('metric', 'suffix'),
    [
        *[(metric, '.pth') for metric in ('cnniqa', 'brisque', 'niqe', 'wadiqam_fr', 'musiq')],
        *[('cnniqa', suffix) for suffix in ('.mat', '.npz')],
    ],
)
def test_no_way_to_a_metric_runs_code(metric, suffix, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    torch.save({'params': Trap()}, file := tmp_path / f'trap{suffix}')
    with pytest.raises(ValueError, match=f'trap{suffix}'):
        PyIQAScorer(metric, weights=str(file))
    with pytest.raises(ValueError, match=f'trap{suffix}'):
        PyIQAScorer(metric, options={'pretrained_model_path': str(file)})


def test_file_in_the_folder_of_pyiqa_runs_no_code(tmp_path):
    file = tmp_path / 'pyiqa' / 'CNNIQA_koniq10k-e6f14c91.pth'
    file.parent.mkdir()
    torch.save({'params': Trap()}, file)
    with pytest.raises(ValueError, match=r"'cnniqa' cannot be made .*Weights only load failed"):
        PyIQAScorer('cnniqa')


@pytest.mark.parametrize(
    ('text', 'ends'),
    [
        ('~-1, ~0.1', (-1.0, 0.1)),
        ('0, ~', (0.0, math.inf)),
        ('~, 2', (-math.inf, 2.0)),
        (None, (-math.inf, math.inf)),
        ('quality: 0, 1; rank: 0, 2', (-math.inf, math.inf)),
    ],
)
def test_ranges_are_read_from_notes(text, ends):
    assert parse_range(text) == ends
