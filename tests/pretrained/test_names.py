"""Names of weights where a file may stand, and the command."""

import hashlib
import shutil

import pytest

from iqasr.checking.check import load_options, notices_of_fetch
from iqasr.enhancement.recipe import build_recipes
from iqasr.models.networks import open_network
from iqasr.pretrained import (
    CATALOGUE,
    entry_at,
    find_weights,
    locate_weights,
    named_entry,
    notice_of_fetch,
)
from iqasr.pretrained.commands import weights_command
from iqasr.pretrained.entry import url_source
from iqasr.registry import MODEL_REGISTRY
from iqasr.runtime.errors import MissingWeightsError, OptionError
from iqasr.runtime.paths import packaged_weights
from iqasr.training.commands import train_command
from iqasr.training.survey import check_file
from iqasr.training.test_sets import find_checkpoints


@pytest.fixture
def compact(add_entry, folders):
    """An entry ``compact``: the packaged network, at a URL of files."""
    shutil.copy(packaged_weights('compact_x4.safetensors'), folders / 'compact.safetensors')
    return add_entry('compact', url_source(folders.as_uri(), {'compact.safetensors': ''}))


def test_case_and_underscores_do_not_hide_a_name():
    with pytest.raises(MissingWeightsError, match=r"Did you mean 'realesrgan-x4plus'\?"):
        named_entry('RealESRGAN_x4plus')


def test_every_entry_is_named_once_and_its_files_apart():
    entries = list(CATALOGUE.values())
    files = {(file.name, file.sha256) for e in entries for s in e.sources for file in s.files}
    by_name = [name for name, _ in files]
    assert len(by_name) == len(set(by_name)), 'imported files are told apart by their names'
    assert {len(sha256) for _, sha256 in files} <= {0, 8, 64}
    kinds = {'network', 'graph', 'discriminator', 'features', 'metric'}
    assert {e.kind for e in entries} == kinds


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(MissingWeightsError, match="Did you mean 'realesrgan-x4plus'"):
        find_weights('realesrgan_x4plus')
    with pytest.raises(MissingWeightsError, match=r"neither a file nor .* 'vgg16'"):
        locate_weights('vgg-16')


@pytest.mark.parametrize('scale', [2, 3])
@pytest.mark.parametrize('ask', [find_weights, locate_weights])
def test_a_name_for_the_weights_of_another_entry_leads_there(ask, scale):
    message = "weights of 'realesr-animevideov3-x4', byte by byte; use that, and reduce its output"
    with pytest.raises(MissingWeightsError, match=message):
        ask(f'realesr-animevideov3-x{scale}')


def test_a_path_that_exists_wins(compact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named_entry('compact') is compact
    (tmp_path / 'compact').write_bytes(b'')
    assert named_entry('compact') is None
    assert locate_weights('compact') == tmp_path / 'compact'


def test_a_folder_of_pictures_does_not_hide_a_name_but_that_of_a_run_does(
    compact, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'compact').mkdir()
    assert named_entry('compact') is compact
    (tmp_path / 'compact/models').mkdir()
    assert named_entry('compact') is None


@pytest.mark.parametrize('path', ['models/net_g', 'net.pth', '/no/where'])
def test_a_path_that_is_missing_stays_a_path(path):
    assert named_entry(path) is None


def test_a_network_is_opened_by_its_name(compact):
    network, scale = open_network('compact')
    assert (type(network).__name__, scale) == ('SRVGGNetCompact', 4)
    assert notice_of_fetch('compact') == ''
    with pytest.raises(ValueError, match=r'maxim-denoising is no network, but MAXIM.*\(graph\)'):
        open_network('maxim-denoising')


def test_an_enhancer_may_be_a_name(compact):
    (recipe,) = build_recipes(['compact'])
    assert recipe.name == 'compact'
    assert recipe.steps[0].scale == 4


def test_checkpoints_may_be_names(compact, folders):
    assert find_checkpoints(['compact']) == [folders / 'cache' / 'compact.safetensors']
    with pytest.raises(OptionError, match="Did you mean 'compact'"):
        find_checkpoints(['compakt'])


@pytest.fixture
def named_options(paired_options, compact):
    paired_options.pop('network_g')
    paired_options['path']['pretrain_network_g'] = 'compact'
    return paired_options


def test_a_check_says_what_will_be_fetched_and_fetches_nothing(
    named_options, write_options, compact, folders, caplog
):
    path = write_options(named_options)
    notice = 'compact will be fetched (size unknown)'
    assert notices_of_fetch(load_options(path)) == [notice]
    assert check_file(folders / 'options.yml') == f'runs, {notice}'
    assert train_command(['-opt', path, '--check']) == 0
    assert not (folders / 'cache').exists()


@pytest.mark.parametrize(
    ('term', 'notice'),
    [
        ({'type': 'PerceptualLoss', 'vgg_type': 'vgg16'}, 'vgg16 will be fetched (64 MB)'),
        ({'type': 'PerceptualLoss'}, 'vgg19 will be fetched (575 MB)'),
        ({'type': 'PerceptualLoss', 'vgg_type': 'vgg11'}, 'vgg11-8a719046.pth will be fetched'),
        ({'type': 'BaseDistanceLoss', 'distance': 'gram'}, 'vgg19 will be fetched (575 MB)'),
    ],
)
def test_a_check_says_which_features_will_be_fetched(
    term, notice, paired_options, write_options, train, folders
):
    layers = {'layer_weights': {'conv1_1': 1}} if term['type'] == 'PerceptualLoss' else {}
    paired_options['train']['features_opt'] = term | layers
    weights = str(packaged_weights('compact_x4.safetensors'))
    paired_options['path']['pretrain_network_g'] = weights
    paired_options.pop('network_g')
    path = write_options(paired_options)
    assert notices_of_fetch(load_options(path)) == [notice]
    assert train(paired_options, '--check') == 0
    assert not (folders / 'cache').exists()
    place = folders / 'torch/hub/checkpoints'
    assert not place.exists()
    place.mkdir(parents=True)
    for name in ('vgg16-397923af', 'vgg19-dcbb9e9d', 'vgg11-8a719046'):
        (place / f'{name}.pth').write_bytes(b'')
    assert notices_of_fetch(load_options(path)) == []


def test_training_starts_from_a_name_and_recognises_the_network(named_options, train, weights_of):
    named_options['train']['total_iter'] = 1
    named_options['val']['val_freq'] = 1
    assert train(named_options) == 0
    assert 'body.0.weight' in weights_of(named_options, 'latest')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'pretrain_network_g': 'compakt'}, "path.pretrain_network_g: .*Did you mean 'compact'"),
        ({'pretrain_network_g': 'vgg16'}, r'should be a network; vgg16 is .*\(features\)'),
        ({'pretrain_network_d': 'compact'}, 'path.pretrain_network_d: should be a discriminator'),
    ],
)
def test_wrong_names_are_refused(change, message, named_options, write_options):
    named_options['path'] |= change
    with pytest.raises(OptionError, match=message):
        load_options(write_options(named_options))


def test_weights_of_a_scorer_may_be_a_name(named_options, write_options):
    named_options['val']['metrics']['musiq'] = {
        'type': 'calculate_quality',
        'scorer': {'type': 'PyIQAScorer', 'metric': 'musiq', 'weights': 'musik-koniq'},
    }
    with pytest.raises(OptionError, match=r"weights: .*Did you mean 'musiq-koniq'"):
        load_options(write_options(named_options))


def test_models_of_others_read_files_only(named_options, write_options, monkeypatch):
    monkeypatch.setitem(MODEL_REGISTRY._obj_map, 'TheirModel', object)
    named_options['model_type'] = 'TheirModel'
    named_options['network_g'] = {'type': 'MSRResNet'}
    with pytest.raises(OptionError, match=r'export\.py -i compact -o compact\.pth'):
        load_options(write_options(named_options))


def test_the_command_lists_and_gets(compact, capsys):
    assert weights_command(['list']) == 0
    assert 'dat-light-x4' in capsys.readouterr().out
    assert weights_command(['get', 'compact', 'nimma']) == 2
    captured = capsys.readouterr()
    name, seconds, unit, *_ = captured.out.split()
    assert (name, unit) == ('compact', 's')
    assert float(seconds) >= 0
    assert str(find_weights('compact')) in captured.out
    assert "Did you mean 'nima'" in captured.err


def test_imported_files_are_recognised(add_package, folders, capsys, assert_tiny):
    add_package()
    assert weights_command(['import', str(next((folders / 'index').iterdir()))]) == 0
    assert 'tiny: ' in capsys.readouterr().out
    next((folders / 'index').iterdir()).unlink()
    assert_tiny()


def test_a_bare_file_is_recognised_by_its_hash(add_package, folders, content, assert_tiny):
    add_package()
    next((folders / 'index').iterdir()).unlink()
    (folders / 'renamed.bin').write_bytes(content)
    assert weights_command(['import', str(folders / 'renamed.bin')]) == 0
    assert_tiny()


def test_an_entry_of_two_files_waits_for_the_second(add_entry, folders, capsys):
    for name in 'ab':
        (folders / name).write_bytes(name.encode())
    stated = {f'x/{name}.pth': hashlib.sha256(name.encode()).hexdigest() for name in 'ab'}
    add_entry('two', url_source('http://127.0.0.1:9', stated, lambda a, b: {}))
    weights_command(['import', str(folders / 'a')])
    assert capsys.readouterr().out == 'two: kept; still wanted: b.pth\n'
    weights_command(['import', str(folders / 'b')])
    assert capsys.readouterr().out == f'two: {folders / "cache" / "two.safetensors"}\n'


@pytest.mark.parametrize('name', ['a.txt', 'a.whl'])
def test_a_file_of_something_else_is_refused(name, folders, capsys):
    (folders / name).write_bytes(b'PK nothing')
    assert weights_command(['import', str(folders / name)]) == 2
    assert name in capsys.readouterr().err


def test_a_file_that_pyiqa_misses_is_found_by_its_name(folders):
    place = folders / 'torch' / 'hub' / 'pyiqa' / 'alex_shift_tolerant.pth'
    assert entry_at(place).name == 'stlpips'
    assert entry_at(place.with_name('musiq_koniq_ckpt-e95806b9.pth')).name == 'musiq-koniq'
    assert entry_at(place.with_name('other.pth')) is None
