"""What converts: pickles of arrays, networks of ncnn, files of torch and Keras."""

import pickle
import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iqasr.archs.waifu2x_cunet import CUNet
from iqasr.pretrained.converters import (
    features_of_flax,
    load_arrays,
    lpips_file,
    lpips_heads,
    mobilenet_of_keras,
    with_zero_classifier,
)
from iqasr.pretrained.ncnn import (
    chain_of,
    cunet_of_ncnn,
    read_ncnn,
    span_of_ncnn,
    srvgg_of_ncnn,
)
from iqasr.runtime.atomic_files import save_atomically
from iqasr.runtime.errors import CheckpointError

PARAM = """7767517
4 4
Input data 0 1 data 0=1
Convolution first 1 1 data a 0=1 1=1 4=0 5=1 6=3
PReLU second 1 1 a b 0=1
Convolution third 1 1 b output 0=2 1=1 4=0 5=0 6=2
"""


def write_ncnn(folder, blocks, param=PARAM):
    (folder / 'net.param').write_text(param)
    (folder / 'net.bin').write_bytes(b''.join(blocks))
    return folder / 'net.param', folder / 'net.bin'


HALF = struct.pack('<I', 0x01306B47) + np.array([0.5, -2, 1], '<f2').tobytes() + b'\0\0'
FLOATS = struct.pack('<f', 0.25)
SLOPE = struct.pack('<f', 0.1)
PLAIN = struct.pack('<I', 0) + np.array([3.0, 1 / 3], '<f4').tobytes()


def test_ncnn_is_read_in_half_precision_with_padding_and_in_single(tmp_path):
    first, second, third = read_ncnn(*write_ncnn(tmp_path, [HALF, FLOATS, SLOPE, PLAIN]))
    assert first.weight.tolist() == [[[[0.5]], [[-2.0]], [[1.0]]]]
    assert first.bias.tolist() == [0.25]
    assert second.kind == 'PReLU'
    assert second.weight.tolist() == [pytest.approx(0.1)]
    assert third.weight.flatten().tolist() == [3.0, pytest.approx(1 / 3)]
    assert third.bias is None


@pytest.mark.parametrize(
    ('blocks', 'param', 'message'),
    [
        ([HALF, FLOATS], PARAM, 'cut short'),
        ([HALF, FLOATS, SLOPE, PLAIN, b'1234'], PARAM, '4 bytes more'),
        ([b'\x38\x4b\x0d\0' * 9], PARAM, 'unknown kind 384b0d00'),
        ([], PARAM.replace('PReLU', 'LSTM').replace('Convolution', 'ReLU'), 'kind LSTM'),
        ([], PARAM.replace('PReLU', 'Scale').replace('Convolution', 'ReLU'), 'kind Scale'),
        ([], 'PK', 'no text of ncnn'),
    ],
)
def test_damaged_networks_of_ncnn_are_refused(blocks, param, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        read_ncnn(*write_ncnn(tmp_path, blocks, param))


def test_a_compact_network_gets_the_names_of_basicsr(tmp_path):
    weights = srvgg_of_ncnn(*write_ncnn(tmp_path, [HALF, FLOATS, SLOPE, PLAIN]))
    assert list(weights) == ['body.0.weight', 'body.0.bias', 'body.1.weight', 'body.2.weight']


def test_a_network_with_other_layers_than_its_names_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match='2 layers; expected 22'):
        span_of_ncnn(*write_ncnn(tmp_path, [HALF, FLOATS, SLOPE, PLAIN]))


GATED = """7767517
6 7
Input data 0 1 data 0=1
Deconvolution up 1 2 data a b 0=3 1=2 3=2 5=1 6=24 -23310=1,0.100000
Pooling mean 1 1 a c 0=1 4=1
InnerProduct dense 1 1 c d 0=2 1=1 2=6 9=4
Scale gate 2 1 b d e 0=-233
Crop cut 2 1 e data output 0=4 1=4
"""


def in_single(*numbers):
    return struct.pack('<I', 0) + np.array(numbers, '<f4').tobytes()


def test_transposed_convolutions_and_inner_products_are_read_as_torch_has_them(tmp_path):
    blocks = [in_single(*range(24)), np.array([7, 8, 9], '<f4').tobytes()]
    blocks += [in_single(*range(6)), np.array([-1, -2], '<f4').tobytes()]
    up, dense = read_ncnn(*write_ncnn(tmp_path, blocks, GATED))
    # ncnn keeps the numbers by output, input, row, column.
    layer = nn.ConvTranspose2d(2, 3, 2, 2).requires_grad_(False)
    layer.load_state_dict({'weight': up.weight, 'bias': up.bias})
    second_input = torch.tensor([0.0, 1.0])[None, :, None, None]
    output = layer(second_input)[0]
    assert output[0].tolist() == [[4 + 7, 5 + 7], [6 + 7, 7 + 7]]
    assert output[2].tolist() == [[20 + 9, 21 + 9], [22 + 9, 23 + 9]]
    assert F.linear(torch.tensor([0.0, 0, 1]), dense.weight, dense.bias).tolist() == [1, 3]


def test_a_cunet_gets_the_names_of_nunif(tmp_path, same_weights):
    weights = CUNet().state_dict()
    lines, blocks = ['7767517', '30 30'], []
    for name in dict.fromkeys(name.rpartition('.')[0] for name in weights):
        weight, bias = weights[f'{name}.weight'], weights[f'{name}.bias']
        kind, options = 'Convolution', f'0={len(bias)} 1={weight.shape[-1]} 5=1 6={weight.numel()}'
        if 'seblock' in name:
            kind, options = 'InnerProduct', f'0={len(bias)} 1=1 2={weight.numel()} 9=1'
        elif name.endswith('_up'):
            kind, weight = 'Deconvolution', weight.transpose(0, 1)
        lines.append(f'{kind} {name} 1 1 a a {options}')
        blocks += [in_single(*weight.flatten().tolist()), bias.numpy().tobytes()]
    files = write_ncnn(tmp_path, blocks, '\n'.join(lines))
    same_weights(cunet_of_ncnn(*files), weights)


@pytest.mark.parametrize('training', [True, False])
def test_a_chain_of_span_computes_the_convolution_it_was_made_of(training):
    from spandrel.architectures.SPAN.__arch.span import Conv3XC

    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 4, 3, 3, generator=generator)
    bias = torch.randn(5, generator=generator)
    chain = Conv3XC(4, 5, gain1=2).train(training)
    chain.load_state_dict({k.removeprefix('x.'): v for k, v in chain_of('x', weight, bias).items()})
    x = torch.randn(2, 4, 9, 7, generator=generator)
    expected = F.conv2d(x, weight, bias, padding=1)
    assert torch.allclose(chain(x), expected, atol=1e-5)


def test_pickles_of_arrays_are_read(tmp_path):
    arrays = {'net': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3)}}
    (tmp_path / 'a.ckpt').write_bytes(pickle.dumps(arrays))
    assert np.array_equal(
        load_arrays(tmp_path / 'a.ckpt')['net']['kernel'], arrays['net']['kernel']
    )


class Code:
    """Unpickles to a call."""

    def __reduce__(self):
        return print, ('ran',)


class Disguised:
    """Unpickles to a call of what belongs to NumPy, but makes no array."""

    def __reduce__(self):
        return np.load, ('some file',)


@pytest.mark.parametrize('payload', [Code(), Disguised(), [np.float64]])
def test_pickles_that_call_anything_else_are_refused(payload, tmp_path, capsys):
    (tmp_path / 'a.ckpt').write_bytes(pickle.dumps({'net': payload}))
    with pytest.raises(CheckpointError, match=r'no pickle of arrays .it calls'):
        load_arrays(tmp_path / 'a.ckpt')
    assert capsys.readouterr().out == ''


def test_kernels_of_flax_compute_the_same_in_torch(tmp_path):
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 3, 2, 4)).astype(np.float32)
    arrays = {
        'Net_0': {'Conv_0': {'kernel': kernel, 'bias': np.zeros(4, np.float32)}},
        'NetLinLayer_0': {},
    }
    (tmp_path / 'a.ckpt').write_bytes(pickle.dumps(arrays))
    weights = features_of_flax((7,))(tmp_path / 'a.ckpt')
    image = generator.normal(size=(3, 3, 2)).astype(np.float32)
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    by_hand = np.einsum('hwc,hwco->o', image, kernel)
    output = F.conv2d(x, weights['features.7.weight'], weights['features.7.bias']).flatten()
    assert np.allclose(output.numpy(), by_hand, atol=1e-5)


def test_heads_of_lpips_come_back_as_they_were(tmp_path):
    files = {
        net: {f'lin{i}.model.1.weight': torch.full((1, 2, 1, 1), float(i)) for i in range(5)}
        for net in ('alex', 'vgg')
    }
    for net, content in files.items():
        torch.save(content, tmp_path / f'{net}.pth')
    heads = lpips_heads(tmp_path / 'alex.pth', tmp_path / 'vgg.pth')
    assert heads['vgg.lin4'].flatten().tolist() == [4.0, 4.0]
    assert lpips_file('vgg')(heads).keys() == files['vgg'].keys()


def test_a_classifier_of_zeros_takes_no_space(tmp_path):
    weights = with_zero_classifier({0: (4096, 25088)})({'features.0.bias': torch.ones(3)})
    save_atomically(weights, tmp_path / 'vgg.pth')
    assert (tmp_path / 'vgg.pth').stat().st_size < 10_000
    layer = nn.Linear(25088, 4096)
    found = torch.load(tmp_path / 'vgg.pth', weights_only=True)
    layer.load_state_dict({k.removeprefix('classifier.0.'): v for k, v in found.items()
                           if k.startswith('classifier.0')})  # fmt: skip
    assert layer.weight.abs().max() == 0


def test_a_mobilenet_of_keras_gets_its_names(tmp_path):
    h5py = pytest.importorskip('h5py')
    generator = np.random.default_rng(0)
    shapes = {'conv1': (3, 3, 3, 2), 'dense_1': (4, 10)}
    with h5py.File(tmp_path / 'a.hdf5', 'w') as file:

        def put(layer, parameter, shape):
            file[f'{layer}/{layer}/{parameter}:0'] = generator.normal(size=shape).astype('f4')

        for layer, shape in shapes.items():
            put(layer, 'kernel', shape)
        put('dense_1', 'bias', (10,))
        for number in range(1, 14):
            put(f'conv_dw_{number}', 'depthwise_kernel', (3, 3, 2, 1))
            put(f'conv_pw_{number}', 'kernel', (1, 1, 2, 4))
        for layer in ['conv1', *(f'conv_{k}_{n}' for k in ('dw', 'pw') for n in range(1, 14))]:
            for parameter in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
                put(f'{layer}_bn', parameter, (2,))
    weights = mobilenet_of_keras(tmp_path / 'a.hdf5')
    assert len(weights) == 27 * 5 + 2
    assert weights['conv1.weight'].shape == (2, 3, 3, 3)
    assert weights['blocks.12.dw.weight'].shape == (2, 1, 3, 3)
    assert weights['blocks.12.pw.weight'].shape == (4, 2, 1, 1)
    assert weights['head.weight'].shape == (10, 4)
    with h5py.File(tmp_path / 'a.hdf5') as file:
        assert weights['blocks.2.pw_bn.running_var'][1] == file[
            'conv_pw_3_bn/conv_pw_3_bn/moving_variance:0'
        ][1]  # fmt: skip
        assert weights['conv1.weight'][1, 2, 0, 1] == file['conv1/conv1/kernel:0'][0, 1, 2, 1]
