from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from analysis.planted import PLANTED, Planted

from iqasr.analysis.bootstrap import UNKNOWN, Estimate, SourceBootstrap
from iqasr.analysis.combination import (
    Combination,
    cross_fit,
    evaluate_combinations,
    fit_logistic,
    select_greedily,
    shares_of,
)
from iqasr.analysis.ensemble_options import ensemble_section, option_fragment
from iqasr.analysis.panel import PanelScorer
from iqasr.checking.check import load_options
from iqasr.losses.quality_loss import QualityLoss
from iqasr.registry import LOSS_REGISTRY, SCORER_REGISTRY, build
from iqasr.runtime.paths import project_root


@pytest.fixture(scope='module')
def many():
    return PLANTED.draw(2000, 4, np.random.default_rng(0)).scaled()


def planted(accuracy, overlap):
    both = np.array([[1 - accuracy[0], overlap], [overlap, 1 - accuracy[1]]])
    return Planted(np.array(accuracy), both).draw(2000, 4, np.random.default_rng(0)).scaled()


def test_logistic_finds_the_best_direction(many):
    best = np.linalg.solve(PLANTED.between, PLANTED.with_people) * many.difference.std(0)
    np.testing.assert_allclose(fit_logistic(many), best / best.sum(), atol=0.02)


def test_scorer_that_would_enter_with_the_wrong_sign_does_not():
    assert fit_logistic(planted((0.8, 0.7), 0.19)).tolist() == [1, 0]


def test_greedy_takes_what_helps_and_no_more():
    assert select_greedily(planted((0.75, 0.74), 0.065)).tolist() == [0.5, 0.5]
    assert select_greedily(planted((0.8, 0.7), 0.19)).tolist() == [1, 0]


def test_weights_come_from_other_sources(many):
    few = many.select(np.arange(400))
    seen = []

    def remember(comparisons):
        seen.append(set(comparisons.sources.tolist()))
        return np.array([1.0, 0, 0])

    assert cross_fit(few, remember).tolist() == few.difference[:, 0].tolist()
    every = set(few.sources.tolist())
    assert [len(every - rest) for rest in seen] == [20] * 5
    assert set().union(*(every - rest for rest in seen)) == every


def test_combination_of_noise_gains_nothing():
    few = PLANTED.draw(80, 4, np.random.default_rng(1))
    noise = np.random.default_rng(2).standard_normal(few.quality.shape)
    few = replace(few, quality=np.where([True, False, False], few.quality, noise))
    panel = [PanelScorer(name, {}, name in 'BC', False, {}) for name in 'ABC']
    bootstrap = SourceBootstrap(few.sources, 200)
    found = {c.name: c for c in evaluate_combinations(few, bootstrap, panel)}
    assert found['best scorer'].gain == (0, 0, 0)
    assert found['mean of z-scores'].gain.high < 0
    assert found['regression, with gradient'].accuracy.value == pytest.approx(0.5, abs=0.1)
    assert set(found['regression, with gradient'].weights) <= {'B', 'C'}


def test_negligible_weights_are_left_out():
    shares = shares_of(('A', 'B', 'C'), np.array([0.6, 0.005, 0.395]))
    assert shares == pytest.approx({'A': 0.6 / 0.995, 'C': 0.395 / 0.995})


@pytest.fixture
def fitted(many):
    """Comparisons of ranker, niqe and piqe as if they had the planted answers, and the panel."""
    sections = [
        {'type': 'RankerScorer'},
        {'type': 'NIQEScorer'},
        {'type': 'PyIQAScorer', 'metric': 'piqe'},
    ]
    traits = [(True, False), (False, True), (False, True)]
    names = ('ranker', 'niqe', 'piqe')
    panel = [
        PanelScorer(name, section, *trait, {})
        for name, section, trait in zip(names, sections, traits, strict=True)
    ]
    quality = many.quality * [0.1, 2, 20] + [0.5, -6, -50]
    return type(many)(names, many.sources, many.p_b, many.weight, quality), panel


def test_fragment_passes_the_option_check_and_builds(fitted, write_options):
    fragment = yaml.safe_load(option_fragment(*fitted))
    file = project_root() / 'options/train/compact_amo_finetune_x4.yml'
    whole = yaml.safe_load(file.read_text())
    whole['datasets']['train'] |= fragment['datasets']['train']
    whole['train'] |= fragment['train']
    options = load_options(write_options(whole))
    scorer = build(SCORER_REGISTRY, options.train_set['quality']['scorer'])
    assert [member.name for member in scorer.members] == ['ranker', 'niqe', 'piqe']
    assert scorer(torch.rand(1, 3, 192, 192)).isfinite().all()
    term = build(LOSS_REGISTRY, options.train.terms['quality'])
    assert isinstance(term, QualityLoss)
    assert [member.name for member in term.scorer.members] == ['ranker']


def test_ensemble_orders_pairs_as_the_regression_does(fitted):
    comparisons, panel = fitted
    section = ensemble_section(comparisons, panel)
    fused = 0
    for weight, member in zip(section['weights'], section['scorers'], strict=True):
        name = member.get('metric', member['type'])
        column = {'RankerScorer': 0, 'NIQEScorer': 1, 'piqe': 2}[name]
        published = comparisons.quality[..., column] * (-1 if column else 1)
        worst, best = member['range']
        fused = fused + weight * (published - worst) / (best - worst)
    direct = comparisons.scaled().difference @ fit_logistic(comparisons.scaled())
    assert np.corrcoef(fused[:, 1] - fused[:, 0], direct)[0, 1] == pytest.approx(1, abs=1e-3)
    assert fused.mean() == pytest.approx(0.5, abs=0.05)


def test_panel_without_gradients_makes_no_term(fitted):
    comparisons, panel = fitted
    text = option_fragment(comparisons.select_scorers(['niqe', 'piqe']), panel[1:])
    assert list(yaml.safe_load(text)) == ['datasets']


@pytest.mark.parametrize(
    ('accuracy', 'gain', 'verdict'),
    [
        ((0.8, 0.7, 0.9), (0.1, 0.05, 0.2), 'better than x on these votes'),
        ((0.8, 0.7, 0.9), (0.1, 0.0, 0.2), 'not better than x on these votes'),
        ((0.8, 0.7, 0.9), (-0.1, -0.2, -0.05), 'worse than x on these votes'),
        (
            (0.6, 0.5, 0.7),
            (0.1, 0.05, 0.2),
            'no better than chance and not better than x on these votes',
        ),
        (
            (0.3, 0.2, 0.4),
            (-0.3, -0.4, -0.2),
            'worse than chance and worse than x on these votes',
        ),
        (UNKNOWN, UNKNOWN, 'no better than chance and not better than x on these votes'),
    ],
)
def test_no_more_is_claimed_than_the_intervals_allow(accuracy, gain, verdict):
    assert Combination('mean', {}, Estimate(*accuracy), Estimate(*gain), 'x').verdict == verdict


def test_best_scorer_is_compared_with_chance_only():
    none = Estimate(0, 0, 0)
    assert Combination('best scorer', {}, Estimate(0.6, 0.4, 0.8), none, 'x').verdict == (
        'no better than chance on these votes'
    )
    assert Combination('best scorer', {}, Estimate(0.7, 0.6, 0.8), none, 'x').verdict == ''


def test_four_sources_are_too_few_and_five_enough():
    few = PLANTED.draw(5, 4, np.random.default_rng(0))
    four = few.select(few.sources < 4)
    assert evaluate_combinations(four, SourceBootstrap(four.sources, 50)) == []
    assert len(evaluate_combinations(few, SourceBootstrap(few.sources, 50))) == 5


def test_fragment_says_how_good_its_ensembles_are(fitted):
    comparisons, panel = fitted
    few = comparisons.select(np.arange(400))
    panel = [*panel[:2], replace(panel[2], section=None)]
    found = evaluate_combinations(few, SourceBootstrap(few.sources, 100), panel)
    by_name = {combination.name: combination for combination in found}
    text = option_fragment(few, panel, found)
    for name in ('regression, in ensemble.yml', 'regression, with gradient'):
        of = by_name[name]
        assert f'# held out, accuracy {of.accuracy}, {of.verdict}.\n' in text
    assert by_name['regression, in ensemble.yml'].weights.keys() <= {'ranker', 'niqe'}
    assert '# Left out, as no option file can build them for this: piqe.' in text
    members = yaml.safe_load(text)['datasets']['train']['quality']['scorer']['scorers']
    assert [member['type'] for member in members] == ['RankerScorer', 'NIQEScorer']
