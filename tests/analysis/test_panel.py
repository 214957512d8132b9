import cv2
import numpy as np
import pytest

from iqasr.analysis.pairs import read_pairs
from iqasr.analysis.panel import score_by_panel
from iqasr.checking.components import scorer_sections
from iqasr.quality import NIQEScorer
from iqasr.runtime.errors import DataError, OptionError

NAMES = ['brightness', 'flatness']


@pytest.fixture
def images(pairs_csv):
    return read_pairs(str(pairs_csv)).images()


@pytest.mark.usefixtures('scorers')
def test_quality_is_that_of_the_scorer(images, tmp_path):
    panel, failures = score_by_panel(images, scorer_sections(NAMES), tmp_path / 'scores')
    assert failures == {}
    bright, flat = panel
    image = cv2.imread(str(tmp_path / 'images/3_1.png'))
    assert bright.quality[f'{tmp_path}/images/3_1.png'] == pytest.approx(65 / 255)
    spread = image[..., 1].std(ddof=1) / 255
    assert flat.quality[f'{tmp_path}/images/3_1.png'] == pytest.approx(-spread, rel=1e-5)
    assert (bright.lower_better, flat.lower_better) == (False, True)


def test_second_run_scores_what_has_changed(images, scorers, tmp_path):
    for _ in range(2):
        score_by_panel(images, scorer_sections(NAMES), tmp_path / 'scores')
        assert scorers.scored == 36
    changed = tmp_path / 'images/3_1.png'
    cv2.imwrite(str(changed), np.full((8, 8, 3), 255, np.uint8))
    (scorer,), _ = score_by_panel(images, scorer_sections(NAMES[:1]), tmp_path / 'scores')
    assert scorers.scored == 37
    assert scorer.quality[str(changed)] == 1


def test_other_version_has_its_own_scores(images, scorers, tmp_path, monkeypatch):
    score_by_panel(images, scorer_sections(NAMES[:1]), tmp_path / 'scores')
    monkeypatch.setattr(scorers, 'version', '2')
    score_by_panel(images, scorer_sections(NAMES[:1]), tmp_path / 'scores')
    assert scorers.scored == 72
    assert len(list((tmp_path / 'scores').iterdir())) == 2


def test_killed_run_continues(images, scorers, tmp_path):
    sections = scorer_sections(NAMES)
    expected, _ = score_by_panel(images, sections, tmp_path / 'whole')
    scorers.scored, scorers.stop_after = 0, 20
    with pytest.raises(KeyboardInterrupt):
        score_by_panel(images, sections, tmp_path / 'scores')
    scorers.scored, scorers.stop_after = 0, 10**6
    resumed, _ = score_by_panel(images, sections, tmp_path / 'scores')
    assert scorers.scored == 36 - 18
    assert resumed == expected


@pytest.mark.usefixtures('scorers')
def test_scorers_that_cannot_are_left_out_and_named(images, tmp_path, caplog):
    words = ['niqe', '{type: RankerScorer, weights: gone.safetensors}', 'psnr', *NAMES]
    panel, failures = score_by_panel(images, scorer_sections(words), tmp_path / 'scores')
    assert [scorer.name for scorer in panel] == NAMES
    assert list(failures) == words[:3]
    assert '0_0.png: niqe: the image has 8x8 pixels' in failures['niqe']
    assert 'gone.safetensors does not exist' in failures[words[1]]
    assert 'compares with a reference' in failures['psnr']
    assert 'psnr is left out' in caplog.text


def test_panel_without_a_scorer_is_refused(images, tmp_path):
    with pytest.raises(DataError, match=r'no scorer could be used\.\nniqe: .*8x8'):
        score_by_panel(images, scorer_sections(['niqe']), tmp_path / 'scores')


@pytest.mark.usefixtures('scorers')
def test_all_unknown_scorers_are_named_at_once(tmp_path):
    words = ['brightnes', 'musik', '{type: RankerScorer, weight: x}', '{type', 'niqe']
    with pytest.raises(OptionError) as caught:
        scorer_sections(words)
    message = str(caught.value)
    assert "Did you mean 'brightness'?" in message
    assert "Did you mean 'musiq'?" in message
    assert "Did you mean 'weights'?" in message
    assert len(message.splitlines()) == 5


def test_sections_build_what_names_say():
    niqe, piqe = scorer_sections(['niqe', 'piqe']).values()
    assert niqe == {'type': NIQEScorer.__name__}
    assert piqe == {'type': 'PyIQAScorer', 'metric': 'piqe'}


@pytest.mark.usefixtures('scorers')
def test_two_of_one_name_are_told_apart(images, tmp_path):
    panel, _ = score_by_panel(
        images, scorer_sections(['brightness', '{type: Brightness}']), tmp_path / 'scores'
    )
    assert [scorer.name for scorer in panel] == ['brightness', 'brightness (1)']
