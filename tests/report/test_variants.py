import json

import numpy as np
import pytest

from iqasr.report import variants as module
from iqasr.report.variants import VARIANTS, VariantRuns, find_equal_gain, run_name, variant_tables


def test_tables_pair_seeds_and_photographs_and_mark_what_is_certain():
    base = np.array([[1.0, 5.0, 9.0], [2.0, 6.0, 10.0]])
    values = {'uniform': {'psnr': base}, 'amo': {'psnr': base + 0.5}, 'sma': {'psnr': base}}
    text = variant_tables(values, {'psnr': 'higher'}, [('amo', 'uniform'), ('sma', 'uniform')])
    lines = text.splitlines()
    assert lines[0] == '| variant | psnr ↑ |'
    assert lines[2].startswith('| uniform | 5.500 [')
    assert '| amo - uniform | **+0.500** [+0.500, +0.500] |' in lines
    assert '| sma - uniform | +0.000 [+0.000, +0.000] |' in lines


def test_adapters_are_compared_with_the_checkpoint_of_equal_score():
    scores = {
        'amo': 0.3,
        'amo_finetune@100': 0.45,
        'amo_finetune': 0.5,
        'amo_finetune_full@25': 0.38,
        'amo_finetune_full@50': 0.52,
        'amo_finetune_full': 0.8,
    }
    values = {name: {'ranker': np.full((2, 3), score)} for name, score in scores.items()}
    assert find_equal_gain(values) == ('amo_finetune_full@50', 'amo_finetune')


@pytest.fixture
def commands(monkeypatch):
    called = []
    monkeypatch.setattr(module, 'run_command', lambda *words: called.append(words))
    return called


def test_finetuning_starts_from_the_network_of_its_seed(commands, tmp_path):
    gan = 'train:gan_opt={type: GANLoss}'
    VariantRuns(tmp_path, tmp_path / 'data', tmp_path / 'val', [7], training=[gan]).run(1)
    trained = [words for words in commands if words[0] == 'train']
    assert [words[1] for words in trained] == [v.option_file for v in VARIANTS]
    assert all(v.option_file.is_file() for v in VARIANTS)
    start = (
        f'path:pretrain_network_g={tmp_path}/experiments/study_amo_seed7/models/net_g_latest.pth'
    )
    assert [start in words[2] for words in trained] == [v.after == 'amo' for v in VARIANTS]
    assert [gan in words[2] for words in trained] == [v.after is None for v in VARIANTS]
    assert all('manual_seed=7' in words[2] for words in trained)


def test_finished_tests_are_not_run_again_and_are_read_back(commands, tmp_path):
    study = VariantRuns(tmp_path, tmp_path / 'data', tmp_path / 'val', [0, 1])
    for seed in study.seeds:
        folder = tmp_path / 'results' / run_name('original', seed)
        folder.mkdir(parents=True)
        content = {'means': {'psnr': 1 + seed / 2}, 'files': {'a': {}, 'b': {}}}
        summary = {'name': 'x', 'better': {'psnr': 'higher'}, 'sets': {'photographs': content}}
        (folder / 'summary.json').write_text(json.dumps(summary))
        (folder / 'photographs.csv').write_text(f'name,psnr\na,{seed}\nb,2\n')
    study.train_and_test(VARIANTS[0], 0)
    assert [words[0] for words in commands] == ['train']
    assert study.values('original')['psnr'].tolist() == [[0, 2], [1, 2]]
    assert study.results('original', 0).better == {'psnr': 'higher'}
