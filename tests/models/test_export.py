import runpy
import sys
from pathlib import Path

import pytest
import spandrel
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.swinir_arch import SwinIR

from iqasr.archs.lora import add_lora, lora_layers, merged_state, set_lora_scale
from iqasr.archs.lora_files import save_lora
from iqasr.archs.rrdb_pixel_shuffle import RRDBPSNet
from iqasr.archs.spandrel_networks import network_class
from iqasr.models.export import SIZES, export, interpolate, write_onnx
from iqasr.options.lora import LoRAOptions
from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.randomness import generator_at
from iqasr.runtime.weights import load_file

SCRIPT = Path(__file__).parents[2] / 'scripts/export.py'
SMALL = {'img_size': 8, 'window_size': 4, 'depths': (2,), 'embed_dim': 8, 'num_heads': (2,)}
NETWORKS = {
    'RRDBNet': lambda: RRDBNet(3, 3, num_feat=8, num_block=1, num_grow_ch=32),
    'SwinIR': lambda: SwinIR(**SMALL, mlp_ratio=2, upscale=4, upsampler='pixelshuffle'),
}


def save_spandrel(path, arch, **options):
    torch.manual_seed(0)
    torch.save({'params': network_class(arch)(**options).state_dict()}, path)


@pytest.fixture
def lq():
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def saved(tmp_path):
    """Save a network (both kinds of weights) as ``net.pth``; returns it, in evaluation mode."""

    def save(name='RRDBNet', seed=0, file='net.pth'):
        torch.manual_seed(seed)
        raw, averaged = NETWORKS[name]().state_dict(), NETWORKS[name]().eval()
        torch.save({'params': raw, 'params_ema': averaged.state_dict()}, tmp_path / file)
        return averaged

    return save


@pytest.fixture
def script(monkeypatch, capsys):
    """Run the script; returns its exit code and what it says."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['export.py', *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(SCRIPT), run_name='__main__')
        except SystemExit as stop:
            code = stop.code
        return code, ''.join(capsys.readouterr())

    return run


def adapted(network):
    add_lora(network, LoRAOptions(rank=2), generator_at(0))
    for layer in lora_layers(network).values():
        torch.nn.init.normal_(layer.lora_b, std=0.1, generator=generator_at(1))
    return network


def load(path):
    return spandrel.ModelLoader().load_from_file(path)


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
@pytest.mark.parametrize('name', ['RRDBNet', 'SwinIR'])
def test_merged_weights_load_in_stock_basicsr_and_spandrel(
    name, suffix, lq, saved, tmp_path, script
):
    network = adapted(saved(name))
    save_lora(network, tmp_path / 'a.safetensors')
    files = ['-i', tmp_path / 'net.pth', '--lora', tmp_path / 'a.safetensors']
    code, said = script(*files, '-o', tmp_path / f'out.{suffix}', '--scale', '0.5', '1')
    assert code == 0
    assert said.split() == [str(tmp_path / f'out_s{s}.{suffix}') for s in (0.5, 1)]
    for scale in (0.5, 1):
        path = tmp_path / f'out_s{scale}.{suffix}'
        content, plain = load_file(path), NETWORKS[name]().eval()
        plain.load_state_dict(content['params_ema'] if suffix == 'pth' else content, strict=True)
        set_lora_scale(network, scale)
        with torch.no_grad():
            expected = network(lq)
            assert (plain(lq) - expected).abs().max() <= 1e-5
            assert (load(path)(lq) - expected.clamp(0, 1)).abs().max() <= 1e-5


def test_adapters_add_up_by_their_weights(saved, tmp_path, script):
    network = adapted(saved())
    save_lora(network, tmp_path / 'a.safetensors')
    for layer in lora_layers(network).values():
        layer.lora_b.data *= -3
    save_lora(network, tmp_path / 'b.safetensors')
    files = ['-l', tmp_path / 'a.safetensors', tmp_path / 'b.safetensors', '-w', '0.5', '0.25']
    code, _ = script('-i', tmp_path / 'net.pth', *files, '-o', tmp_path / 'sum.safetensors')
    assert code == 0
    set_lora_scale(network, 1 / 12)  # 0.5 a - 0.75 a = -0.25 a, and this one is -3 a
    found = load_file(tmp_path / 'sum.safetensors')
    for name, value in merged_state(network).items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize('key', ['params', 'params_ema'])
def test_averaged_or_raw_weights_are_written(key, saved, tmp_path, same_weights):
    saved()
    (path,) = export(tmp_path / 'net.pth', tmp_path / 'out.pth', key=key)
    same_weights(load_file(path)[key], load_file(tmp_path / 'net.pth')[key])


def test_blended_weights_are_the_weighted_mean(saved, tmp_path):
    first = saved(seed=0, file='a.pth').state_dict()
    second = saved(seed=1, file='b.pth').state_dict()
    paths = export(
        tmp_path / 'a.pth', tmp_path / 'o.safetensors', other=tmp_path / 'b.pth', alphas=(0, 0.25)
    )
    assert [path.name for path in paths] == ['o_a0.safetensors', 'o_a0.25.safetensors']
    blends = [load_file(path) for path in paths]
    for name, weight in first.items():
        assert torch.equal(blends[0][name], weight)
        assert torch.allclose(blends[1][name], 0.75 * weight + 0.25 * second[name], atol=1e-7)


def test_a_result_that_is_not_finite_is_not_written(saved, tmp_path):
    saved(file='a.pth')
    saved(seed=1, file='b.pth')
    how = {'other': tmp_path / 'b.pth', 'alphas': [float('nan')]}
    with pytest.raises(CheckpointError, match='holds NaN or infinity in conv_first'):
        export(tmp_path / 'a.pth', tmp_path / 'o.pth', **how)
    assert not (tmp_path / 'o.pth').exists()


def test_blending_different_networks_is_refused():
    with pytest.raises(CheckpointError, match='different networks: 1 differ, such as b'):
        interpolate({'a': torch.ones(1)}, {'a': torch.ones(1), 'b': torch.ones(1)}, 0.5)


def test_onnx_gives_what_torch_gives_at_three_sizes(saved, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    network = saved()
    (path,) = export(tmp_path / 'net.pth', tmp_path / 'net.onnx')
    session = onnxruntime.InferenceSession(str(path))
    for height, width in (*SIZES, (33, 17)):
        lq = torch.rand(2, 3, height, width)
        (output,) = session.run(None, {'lq': lq.numpy()})
        with torch.no_grad():
            assert (torch.from_numpy(output) - network(lq)).abs().max() <= 1e-4


def test_masks_of_the_size_of_training_are_not_those_of_every_size(tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    network = SwinIR(**SMALL | {'img_size': 64}, mlp_ratio=2, upscale=2, upsampler='pixelshuffle')
    torch.save({'params': network.eval().state_dict()}, tmp_path / 'net.pth')
    (path,) = export(tmp_path / 'net.pth', tmp_path / 'net.onnx')
    session, lq = onnxruntime.InferenceSession(str(path)), torch.rand(1, 3, 40, 24)
    with torch.no_grad():
        (output,) = session.run(None, {'lq': lq.numpy()})
        assert (torch.from_numpy(output) - network(lq)).abs().max() <= 1e-4


def test_a_network_that_only_noise_makes_explode_is_exported(tmp_path):
    pytest.importorskip('onnxruntime')
    torch.manual_seed(0)
    edges, mixed = torch.nn.Conv2d(3, 3, (1, 2)), torch.nn.Conv2d(3, 3, 5, padding=(2, 3))
    with torch.no_grad():
        edges.weight.zero_()
        edges.weight[range(3), range(3), 0] = torch.tensor([1.0, -1.0])
        edges.bias.fill_(-0.35)
        mixed.weight.mul_(1e6)
    network = torch.nn.Sequential(edges, torch.nn.ReLU(), mixed)
    assert network(torch.rand(1, 3, 48, 80)).abs().max() > 1e4
    write_onnx(network, tmp_path / 'net.onnx')
    assert (tmp_path / 'net.onnx').is_file()


def test_onnx_of_one_size_takes_no_other(tmp_path, script):
    onnxruntime = pytest.importorskip('onnxruntime')
    save_spandrel(tmp_path / 'net.pth', 'SAFMN', dim=8, n_blocks=1)
    files = ['-i', tmp_path / 'net.pth', '-o', tmp_path / 'net.onnx']
    code, said = script(*files)
    assert code == 2
    assert 'SAFMN cannot be written as ONNX for images of any size (' in said
    assert 'Make one for a single size (--size H W), or write .pth or .safetensors.' in said
    assert script(*files, '--size', 24, 40)[0] == 0
    session, lq = onnxruntime.InferenceSession(tmp_path / 'net.onnx'), torch.rand(1, 3, 24, 40)
    assert [tuple(session.get_inputs()[0].shape), tuple(session.get_outputs()[0].shape)] == [
        (1, 3, 24, 40),
        (1, 3, 96, 160),
    ]
    network = network_class('SAFMN')(dim=8, n_blocks=1).eval()
    network.load_state_dict(load_file(tmp_path / 'net.pth')['params'])
    with torch.no_grad():
        (output,) = session.run(None, {'lq': lq.numpy()})
        assert (torch.from_numpy(output) - network(lq)).abs().max() <= 1e-4
    code, said = script(*files, '--size', 4, 40)
    assert (code, 'SAFMN takes inputs of at least 8 px' in said) == (2, True)
    code, said = script(*files[:3], tmp_path / 'o.pth', '--size', 24, 40)
    assert (code, 'only .onnx can be made for one (--size)' in said) == (2, True)


def test_a_refusal_is_one_line(tmp_path, capfd):
    pytest.importorskip('onnxruntime')
    for arch, options in (('SAFMN', {'dim': 8, 'n_blocks': 1}), ('DITN', {'dim': 8})):
        save_spandrel(tmp_path / 'net.pth', arch, **options)
        with pytest.raises(CheckpointError, match='for images of any size'):
            export(tmp_path / 'net.pth', tmp_path / 'net.onnx')
        assert capfd.readouterr() == ('', '')


def test_a_network_that_is_not_recognised_is_named_by_its_option_file(
    tmp_path, script, write_options, paired_options
):
    pytest.importorskip('onnxruntime')
    options = {'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4}
    torch.save({'params': RRDBPSNet(**options).state_dict()}, tmp_path / 'net.pth')
    files = ['-i', tmp_path / 'net.pth', '-o', tmp_path / 'net.onnx']
    code, said = script(*files)
    assert code == 2
    assert 'resembles ESRGAN, but spandrel cannot read it so' in said
    assert len(said) < 800
    assert said.count('size mismatch') == 1
    paired_options['network_g'] = {'type': 'RRDBPSNet', **options}
    assert script(*files, '-opt', write_options(paired_options))[0] == 0
    assert (tmp_path / 'net.onnx').is_file()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['-o', 'out.txt'], 'out.txt: write .pth, .safetensors or .onnx'),
        (['-o', 'out.pth', '--weights', '1'], '1 weights for 0 adapters; give one for each'),
        (['-o', 'out.pth', '--lora', 'net.pth'], 'holds no adapters'),
        (['-o', 'out.pth', '--lora', 'other.safetensors'], 'was trained on base weights'),
    ],
)
def test_what_cannot_be_exported_is_refused(arguments, message, saved, tmp_path, script):
    save_lora(adapted(saved(seed=1)), tmp_path / 'other.safetensors')
    saved(seed=0)
    before = {path.name for path in tmp_path.iterdir()}
    paths = [tmp_path / a if a.endswith(('.pth', '.txt', '.safetensors')) else a for a in arguments]
    code, said = script('-i', tmp_path / 'net.pth', *paths)
    assert code == 2
    assert message in said
    assert {path.name for path in tmp_path.iterdir()} == before


def test_weights_that_are_misread_elsewhere_are_named(tmp_path, caplog, write_options,
                                                      paired_options):  # fmt: skip
    section = {'type': 'spandrel', 'arch': 'SPAN', 'num_in_ch': 3, 'num_out_ch': 3}
    paired_options['network_g'] = section | {'feature_channels': 8, 'img_range': 1.0}
    options = {k: v for k, v in paired_options['network_g'].items() if k not in ('type', 'arch')}
    save_spandrel(tmp_path / 'net.pth', 'SPAN', **options)
    export(tmp_path / 'net.pth', tmp_path / 'o.pth', option_file=write_options(paired_options))
    assert 'misread it: img_range 1.0, read as 255.0' in caplog.text


def test_adapters_given_as_a_network_are_recognised(saved, tmp_path, script):
    save_lora(adapted(saved()), tmp_path / 'a.safetensors')
    code, said = script('-i', tmp_path / 'a.safetensors', '-o', tmp_path / 'out.pth')
    assert code == 2
    assert 'a.safetensors: holds adapters alone; merge them by scripts/export.py -l' in said
    assert not (tmp_path / 'out.pth').exists()


def test_the_folder_of_a_run_is_exported(saved, tmp_path, same_weights):
    (tmp_path / 'models').mkdir()
    saved(file='models/net_g_latest.pth')
    best = saved(seed=1, file='models/net_g_best.pth')
    (path,) = export(tmp_path, tmp_path / 'out.pth')
    same_weights(load_file(path)['params_ema'], best.state_dict())
