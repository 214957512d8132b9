import json
import re
import shutil
from collections import Counter
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from iqasr.runtime.errors import DataError
from iqasr.user_study import Design, make_study, read_manifest
from iqasr.user_study.manifest import serving_order
from iqasr.user_study.methods import read_methods

METHODS = ('fine_net', 'soft_net', 'dull_net')
DESIGN = Design(crop_px=48, per_rater=5, catch=2)


def content_of(folder):
    html = (folder / 'study.html').read_text()
    return json.loads(re.search(r'<script type="application/json".*?>(.*?)</script>', html)[1])


@pytest.mark.parametrize(('methods', 'sources'), [(2, 5), (3, 7), (4, 20)])
def test_stretches_of_the_serving_order_are_balanced(methods, sources):
    order = serving_order(list('abcd'[:methods]), [str(i) for i in range(sources)])
    pairs = len(list(combinations(range(methods), 2)))
    assert len(set(order)) == len(order) == pairs * sources
    for start in range(len(order) - sources):
        stretch = order[start : start + sources]
        assert len({source for source, _ in stretch}) == sources
        by_pair = Counter(pair for _, pair in stretch)
        assert max(by_pair.values()) - min(by_pair.values(), default=0) <= 2


def test_page_is_blind_and_self_contained(study, tmp_path):
    html = (tmp_path / 'study.html').read_text()
    hidden = [*METHODS, 'scene0', 'crops/', 'blurred', str(tmp_path), 'answer":']
    assert [word for word in hidden if word in html] == []
    assert re.findall(r'https?:|src="|@import|url\(|<link', html) == []
    assert "default-src 'none'" in html


def test_page_and_manifest_have_the_same_questions(study, tmp_path):
    content = content_of(tmp_path)
    assert content['study'] == study.study
    assert {t['key'] for t in content['trials'] if not t['group']} == study.items.keys()
    assert {t['key'] for t in content['trials'] if t['group']} == study.catch.keys()
    assert read_manifest(tmp_path / 'study.json') == study


def test_crops_are_the_same_square_of_every_method_without_loss(study, method_folders, tmp_path):
    item = next(iter(study.items.values()))
    places = []
    for method, name in ((item.a, item.image_a), (item.b, item.image_b)):
        image = cv2.imread(str(method_folders / method / f'{item.source}.png'))
        crop = cv2.imread(str(tmp_path / name))
        assert crop.shape == (48, 48, 3)
        found = [
            (y, x)
            for y in range(49)
            for x in range(49)
            if np.array_equal(image[y : y + 48, x : x + 48], crop)
        ]
        places.append(found)
    assert len(places[0]) == 1
    assert places[0] == places[1]


def test_answer_of_a_catch_trial_is_the_sharper_image(study, tmp_path):
    for catch in study.catch.values():
        a, b = (cv2.imread(str(tmp_path / n)) for n in (catch.image_a, catch.image_b))
        sharper = (
            'a' if cv2.Laplacian(a, cv2.CV_64F).var() > cv2.Laplacian(b, cv2.CV_64F).var() else 'b'
        )
        assert catch.answer == sharper


def test_same_input_makes_the_same_study_and_another_is_not_overwritten(method_folders, tmp_path):
    folders = [str(method_folders / name) for name in METHODS]
    first = make_study(folders, str(tmp_path), DESIGN)
    assert make_study(folders, str(tmp_path), DESIGN) == first
    with pytest.raises(DataError, match=f'holds study {first.study} already'):
        make_study(folders[:2], str(tmp_path), DESIGN)


def test_result_folders_bring_their_ground_truths(method_folders, tmp_path):
    for method in METHODS[:2]:
        files = {
            f'scene{i}': {
                'gt': str(method_folders / 'gt' / f'scene{i}.png'),
                'output': str(method_folders / method / f'scene{i}.png'),
            }
            for i in (0, 3, 6)
        }
        summary = {
            'name': f'run_{method}',
            'better': {},
            'sets': {'set': {'means': {}, 'files': files}},
        }
        (tmp_path / method).mkdir()
        (tmp_path / method / 'summary.json').write_text(json.dumps(summary))
    design = Design(crop_px=48, show_reference=True, images=2)
    folders = [str(tmp_path / name) for name in METHODS[:2]]
    manifest = make_study(folders, str(tmp_path / 'study'), design)
    assert manifest.methods == ['run_fine_net', 'run_soft_net']
    assert {item.source for item in manifest.items.values()} == {'set/scene0', 'set/scene3'}
    for item in manifest.items.values():
        assert cv2.imread(str(tmp_path / 'study' / item.reference)).shape == (48, 48, 3)
    assert len(read_methods(folders, dataset='set')[0].images) == 3
    with pytest.raises(DataError, match='no image of other was saved'):
        read_methods(folders, dataset='other')


def test_ground_truths_that_are_missing_are_named(method_folders, tmp_path):
    folders = [str(method_folders / name) for name in METHODS]
    with pytest.raises(DataError, match=r'scene0, scene3, scene6: no ground truth for 3 of 3'):
        make_study(folders, str(tmp_path / 'study'), Design(show_reference=True))


@pytest.fixture
def copies(method_folders, tmp_path) -> list[Path]:
    return [Path(shutil.copytree(method_folders / name, tmp_path / name)) for name in METHODS[:2]]


def problems_of(folders):
    with pytest.raises(DataError) as refused:
        read_methods([str(folder) for folder in folders])
    return refused.value.problems


def test_images_that_one_method_lacks_are_all_named(copies):
    (copies[0] / 'scene3.png').unlink()
    (copies[1] / 'scene0.png').unlink()
    assert [p.split('.')[0] for p in problems_of(copies)] == [
        'fine_net: has no image scene3',
        'soft_net: has no image scene0',
    ]


def test_broken_and_unequal_images_are_all_named(copies):
    (copies[0] / 'scene3.png').write_bytes(b'no image')
    small = cv2.imread(str(copies[1] / 'scene6.png'))[:80]
    cv2.imwrite(str(copies[1] / 'scene6.png'), small)
    broken, unequal = problems_of(copies)
    assert 'scene3.png: not an image that can be read' in broken
    assert 'soft_net/scene6.png: 96 x 80 px, but' in unequal


def test_one_method_or_two_of_one_name_are_refused(copies, tmp_path):
    assert 'compares two methods at least' in problems_of(copies[:1])[0]
    again = Path(shutil.copytree(copies[0], tmp_path / 'other' / copies[0].name))
    assert 'is called fine_net, as another method' in problems_of([copies[0], again])[0]


def test_folders_without_images_are_refused(copies, tmp_path):
    (tmp_path / 'empty').mkdir()
    assert 'holds no images' in problems_of([copies[0], tmp_path / 'empty'])[0]
    assert 'there is no such folder' in problems_of([copies[0], tmp_path / 'none'])[0]


def test_design_names_every_number_that_is_too_small():
    with pytest.raises(ValueError, match=r'crop_px: must be at least 16, not 3.\nper_rater'):
        Design(crop_px=3, per_rater=0)
