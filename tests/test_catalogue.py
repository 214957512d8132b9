"""What is registered is imported, documented and listed; what is shipped as a file works."""

import ast
import inspect
import json
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from iqasr.checking.check import load_options
from iqasr.metrics import build_metric
from iqasr.options.file import read_yaml
from iqasr.options.schema import schema_of
from iqasr.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    DEGRADATION_REGISTRY,
    ENHANCER_REGISTRY,
    GT_SAMPLER_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    SCORER_REGISTRY,
    build,
    takes_options,
)
from iqasr.runtime.weights import load_file
from iqasr.training.commands import train_command

REPOSITORY = Path(__file__).parents[1]
REGISTRIES = (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    DEGRADATION_REGISTRY,
    ENHANCER_REGISTRY,
    GT_SAMPLER_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    SCORER_REGISTRY,
)
OURS = [
    target
    for registry in REGISTRIES
    for _, target in registry
    if target.__module__.startswith('iqasr.')
]
OPTION_FILES = sorted(
    path
    for path in (REPOSITORY / 'options').rglob('*.yml')
    if path.parent.name != 'studies'  # plans, which hold option files; tests/report checks them
)
PAGES = sorted((REPOSITORY / 'docs').glob('*.md'))
SCRIPTS = sorted((REPOSITORY / 'scripts').glob('*.py'))


def registering_modules():
    for path in sorted((REPOSITORY / 'iqasr').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names = [ast.unparse(decorator) for decorator in node.decorator_list]
                if any(re.search(r'_REGISTRY\.register|^register_', name) for name in names):
                    yield path, node.name


def test_everything_that_registers_is_imported_by_the_package():
    declared = {name for _, name in registering_modules()}
    assert declared == {target.__name__ for target in OURS}
    assert len(declared) >= 10


@pytest.mark.parametrize('target', OURS, ids=lambda target: target.__name__)
def test_registered_thing_is_documented_with_its_arguments(target):
    documentation = inspect.getdoc(target)
    assert documentation
    if not takes_options(target):
        names = [field.alias for field in schema_of(target).model_fields.values()]
        bases = target.__mro__[:-1] if inspect.isclass(target) else [target]
        inherited = ' '.join(inspect.getdoc(base) or '' for base in bases)
        missing = [name for name in names if not re.search(rf'\b{name}:', inherited)]
        assert missing == []


@pytest.mark.parametrize('target', OURS, ids=lambda target: target.__name__)
def test_registered_thing_is_listed_in_the_guide(target):
    guide = (REPOSITORY / 'options/README.md').read_text(encoding='utf-8')
    listed = target.__name__ in guide
    assert listed, f'add a row for {target.__name__} to the table of its kind in options/README.md'


@pytest.mark.parametrize('path', OPTION_FILES, ids=lambda path: path.name)
def test_option_file_passes_the_check(path):
    phase = 'train' if 'train' in read_yaml(path)['datasets'] else 'test'
    options = load_options(path, phase=phase)
    assert options.name == path.stem or phase == 'test'
    assert len(path.read_text(encoding='utf-8').splitlines()) <= 110


@pytest.mark.parametrize('path', OPTION_FILES, ids=lambda path: path.name)
def test_option_file_has_what_basicsr_does_not_do_without(path):
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    assert content['model_type'] == 'RestorationModel'
    assert content.keys() >= {'name', 'scale', 'num_gpu', 'path', 'network_g'} or 'restored' in str(
        path
    )
    for section in content['datasets'].values():
        assert {'name', 'type'} <= section.keys()
        assert 'io_backend' in section or section['type'] in ('MultiGTDataset', 'EvaluationDataset')
    if 'train' in content['datasets']:
        train = content['datasets']['train']
        assert {'batch_size_per_gpu', 'num_worker_per_gpu'} <= train.keys()
        assert {'print_freq', 'save_checkpoint_freq', 'use_tb_logger'} <= content['logger'].keys()
    assert 'val' not in content or 'save_img' in content['val']


def test_fine_tuning_runs_on_a_folder_of_photographs(photographs, tmp_path):
    for number, photograph in enumerate(photographs[:3]):
        path = tmp_path / 'my photos' / ('trip' * number) / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photograph)
    file, root = REPOSITORY / 'options/train/finetune_x4.yml', tmp_path / 'my photos'
    # Without what would be fetched.
    changes = ['path:pretrain_network_g=null', 'train:perceptual_opt=null', 'train:total_iter=2']
    changes += [f'datasets:train:dataroot_gt={root}', 'datasets:train:gt_size=64']
    changes += [f'path:root={tmp_path}', 'num_gpu=0', 'datasets:train:num_worker_per_gpu=0']
    assert train_command(['-opt', str(file), '--force_yml', *changes]) == 0
    weights = tmp_path / 'experiments/finetune_x4/models'
    first, last = (load_file(weights / f'net_g_{n}.pth')['params'] for n in (0, 2))
    assert any((first[name] != last[name]).any() for name in first)


@pytest.mark.parametrize('network', ['rrdb', 'swinir'])
def test_fine_tuning_files_have_the_terms_of_the_paper(network):
    terms = {
        kind: load_options(REPOSITORY / f'options/train/{network}_amo_finetune{kind}_x4.yml').train
        for kind in ('', '_hp', '_ig')
    }
    fidelity = {'pixel', 'perceptual', 'quality'}
    assert [set(t.terms) for t in terms.values()] == [fidelity, fidelity, fidelity | {'gan'}]
    weight = {kind: t.terms['perceptual']['perceptual_weight'] for kind, t in terms.items()}
    assert weight['_hp'] > weight[''] == weight['_ig']


@pytest.mark.parametrize('path', sorted((REPOSITORY / 'options/train').glob('*_finetune*.yml')))
def test_fine_tuning_files_watch_for_artifacts(path):
    metrics = {section['type'] for section in load_options(path).val.metrics.values()}
    assert metrics >= {
        'calculate_high_frequency',
        'calculate_base_distance',
        'calculate_worst_tile',
    }
    assert load_options(path).val.guard is not None


def test_terms_shown_in_the_guide_pass_the_check():
    guide = (REPOSITORY / 'options/README.md').read_text(encoding='utf-8')
    shown = yaml.safe_load(re.search(r'```yaml\n(.*?)```', guide, re.S)[1])['train']
    overrides = tuple(f'train:{name}={json.dumps(term)}' for name, term in shown.items())
    options = load_options(REPOSITORY / 'options/train/rrdb_amo_finetune_x4.yml', overrides)
    assert {name.removesuffix('_opt') for name in shown} <= options.train.terms.keys()


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda path: path.name)
def test_script_is_short_and_explains_itself(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(path), '--help'])
    with pytest.raises(SystemExit, match='0'):
        runpy.run_path(str(path), run_name='__main__')
    assert 'usage: ' in capsys.readouterr().out
    assert len(path.read_text(encoding='utf-8').splitlines()) <= 45


def commands_of(name: str) -> list[str]:
    text = (REPOSITORY / name).read_text(encoding='utf-8')
    blocks = re.findall(r'```bash\n(.*?)```', text, re.S)
    lines = [line.split('  #')[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith('#')]


@pytest.mark.parametrize(
    'name',
    [
        'README.md',
        'options/README.md',
        'options/FAMILIES.md',
        'options/paper/README.md',
        'datasets/README.md',
        *(f'docs/{path.name}' for path in PAGES),
    ],
)
def test_documented_commands_name_files_and_flags_that_exist(name):
    commands = commands_of(name)
    assert commands or name.startswith('docs/')
    for command in commands:
        for path in re.findall(
            r'\b((?:scripts|iqasr|options|tests)/[\w./-]+\.(?:py|sh|yml))', command
        ):
            assert (REPOSITORY / path).is_file(), command
        script = re.search(
            r'(?:python|torchrun)\S* (?:--\S+ )*((?:scripts|iqasr)/\w+\.py)', command
        )
        if script:
            source = (REPOSITORY / script[1]).read_text(encoding='utf-8')
            rooms = [REPOSITORY / f'iqasr/{r}/commands.py' for r in ('training', 'restoration')]
            pipeline = ''.join(path.read_text(encoding='utf-8') for path in rooms)
            for flag in re.findall(r' (--?[a-z_]+)(?= |$)', command.split('.py', 1)[1]):
                assert f"'{flag}'" in source + pipeline, command


def test_examples_for_contributors_work(tmp_path):
    """The code in CONTRIBUTING.md registers things that can be built and used."""
    text = (REPOSITORY / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    shown = re.search(r'```python\n(.*?)```', text, re.S)[1]
    (tmp_path / 'shown.py').write_text(shown)
    runpy.run_path(str(tmp_path / 'shown.py'))
    quality = torch.tensor([[0.0, 1.0, float('-inf')], [2.0, 0.0, 1.0]])
    sampler = build(GT_SAMPLER_REGISTRY, {'type': 'RankSampler', 'rank': 1})
    assert sampler.probabilities(quality).tolist() == [[1, 0, 0], [0, 0, 1]]
    scorer = build(SCORER_REGISTRY, {'type': 'MidGreyScorer'})
    assert scorer(torch.ones(2, 3, 8, 8)).tolist() == [0.5, 0.5]
    loss = build(LOSS_REGISTRY, {'type': 'CubeLoss', 'loss_weight': 2})
    assert loss(torch.full((1, 3, 2, 2), 0.5), torch.zeros(1, 3, 2, 2)).item() == 0.25
    metric = build_metric('bias', {'type': 'calculate_bias'})
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert (metric({'img': grey, 'img2': grey - 7}), metric.arrow) == (7, '↓')
    network = build(ARCH_REGISTRY, {'type': 'OneLayer', 'upscale': 2})
    assert network(torch.rand(1, 3, 5, 7)).shape == (1, 3, 10, 14)
