import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from basicsr.utils.matlab_functions import imresize

from iqasr.report import published as module
from iqasr.report.published import make_pairs, read_published, reproduce
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.paths import project_root

TABLE = project_root() / 'options/published/figures.csv'


@pytest.fixture
def source(tmp_path, photographs):
    """Two benchmarks as they lie in SelfExSR: Odd for scales 2 and 4, Even for 2."""
    for name, scales in (('Odd', (2, 4)), ('Even', (2,))):
        for scale in scales:
            for number, image in enumerate(photographs[:2]):
                folder = tmp_path / 'clone/data' / name / f'image_SRF_{scale}'
                folder.mkdir(parents=True, exist_ok=True)
                for kind in ('HR', 'LR'):
                    path = folder / f'img_{number:03d}_SRF_{scale}_{kind}.png'
                    cv2.imwrite(str(path), image[:50, :38])
    return tmp_path / 'clone'


def test_every_published_row_has_its_test_set_with_the_border_of_its_scale():
    rows = read_published(TABLE)
    assert len(rows) == len({row.name for row in rows}) == 12
    for row in rows:
        options = yaml.safe_load(row.option_file.read_text())
        scale = options['scale']
        assert options['path']['pretrain_network_g'] == f'dat-light-x{scale}'
        (section,) = (s for s in options['datasets'].values() if s['name'] == row.set)
        assert section['dataroot_lq'] == f'datasets/published/{row.set}_x{scale}/lq_x{scale}'
        for metric in options['val']['metrics'].values():
            assert metric['crop_border'] == scale
            assert metric['test_y_channel'] is True
    assert rows[0].figures == {'psnr': 32.57, 'ssim': 0.8991}


def test_pairs_are_cut_to_the_scale_and_reduced_like_matlab(source, photographs, tmp_path):
    make_pairs(source / 'data/Odd', tmp_path / 'pairs', 4)
    gt = cv2.imread(str(tmp_path / 'pairs/gt/img_001.png'))
    assert np.array_equal(gt, photographs[1][:48, :36])
    expected = imresize(gt / 255.0, 1 / 4).clip(0, 1) * 255
    lq = cv2.imread(str(tmp_path / 'pairs/lq_x4/img_001.png'))
    assert np.array_equal(lq, expected.round())


def test_of_each_image_the_largest_ground_truth_is_taken_its_own_if_equal(source, tmp_path):
    images = source / 'data/Odd'
    larger = np.random.default_rng(0).integers(0, 256, (101, 75, 3), dtype=np.uint8)
    cv2.imwrite(str(images / 'image_SRF_4/img_000_SRF_4_HR.png'), larger)  # as in Urban100
    cv2.imwrite(str(images / 'image_SRF_4/img_001_SRF_4_HR.png'), larger[:51, :39])
    own = cv2.imread(str(images / 'image_SRF_2/img_001_SRF_2_HR.png'))
    make_pairs(images, tmp_path / 'x2', 2)
    assert np.array_equal(cv2.imread(str(tmp_path / 'x2/gt/img_000.png')), larger[:100, :74])
    assert np.array_equal(cv2.imread(str(tmp_path / 'x2/gt/img_001.png')), own)
    make_pairs(images, tmp_path / 'x3', 3)  # which has no folder
    assert np.array_equal(cv2.imread(str(tmp_path / 'x3/gt/img_000.png')), larger[:99, :75])
    with pytest.raises(DataError, match=r'image_SRF_3.*clone'):
        make_pairs(source / 'data/None', tmp_path / 'none', 3)


@pytest.fixture
def plan(tmp_path):
    """A table of two rows, and their option file."""
    sets = {
        f'test_{number}': {'name': name, 'dataroot_gt': str(tmp_path / f'{name}_x2/gt')}
        for number, name in enumerate(('Odd', 'Even'))
    }
    (tmp_path / 'tiny.yml').write_text(yaml.safe_dump({'scale': 2, 'datasets': sets}))
    lines = ['option_file,set,psnr,ssim,source', 'tiny.yml,Odd,30.01,0.9,a', 'tiny.yml,Even,9,1,a']
    (tmp_path / 'figures.csv').write_text('\n'.join(lines))
    return tmp_path / 'figures.csv'


def test_what_is_tested_is_not_tested_again_and_stands_beside_the_figures(
    plan, source, tmp_path, monkeypatch
):
    asked = []

    def act(command, option_file, overrides, flag):
        name, root, datasets = (words.partition('=')[2] for words in overrides)
        (section,) = json.loads(datasets).values()
        assert flag == '--auto_resume'
        asked.append((command, name, section['name']))
        assert len(list(Path(section['dataroot_gt']).glob('*.png'))) == 2
        content = {'means': {'psnr': 30.0, 'ssim': 0.9001}, 'files': {'a': {}, 'b': {}}}
        folder = Path(root, 'results', name)
        folder.mkdir(parents=True)
        summary = {'name': name, 'better': {}, 'sets': {section['name']: content}}
        (folder / 'summary.json').write_text(json.dumps(summary))

    monkeypatch.setattr(module, 'run_command', act)
    lines = reproduce(plan, source, tmp_path / 'out', ['Odd']).splitlines()
    assert asked == [('test', 'tiny_Odd', 'Odd')]
    assert lines[2:] == [
        '| tiny | Odd | 2 | 30.000 | 30.01 | -0.0100 | 0.90010 | 0.9000 | +0.0001 |'
    ]
    assert len(reproduce(plan, source, tmp_path / 'out').splitlines()) == 4
    assert [name for _, name, _ in asked] == ['tiny_Odd', 'tiny_Even']
    with pytest.raises(OptionError, match="'tiny'"):
        reproduce(plan, source, tmp_path / 'out', ['tinny'])
