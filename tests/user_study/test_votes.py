import json
import logging
from pathlib import Path

import pytest
import torch
import yaml

from iqasr.analysis.analysis import analyse_metrics
from iqasr.registry import GT_SAMPLER_REGISTRY, SCORER_REGISTRY, build
from iqasr.runtime.errors import DataError
from iqasr.user_study import pair_votes, pairs_from_study, read_ballots, read_manifest


@pytest.fixture
def write_votes(study, tmp_path):
    """Write a file of votes and return its path; the first questions are answered by 'a'."""

    def write(name, rater='r1', study_id=study.study, count=3, **further):
        votes = [
            {'trial': key, 'choice': 'a', 'side': 'left', 'seconds': 1.5, 'repeat': False}
            for key in list(study.items)[:count]
        ]
        content = {'study': study_id, 'rater': rater, 'started': 'now', 'votes': votes} | further
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(content))
        return path

    return write


def problems_of(paths, study):
    with pytest.raises(DataError) as refused:
        read_ballots(paths, study)
    return refused.value.problems


def test_everything_wrong_with_the_files_is_named_at_once(study, write_votes, tmp_path):
    key = next(iter(study.items))
    vote = {'trial': key, 'choice': 'a', 'side': 'left', 'seconds': 1}
    (tmp_path / 'cut.json').write_text('{"study": "')
    paths = [
        write_votes('good'),
        write_votes('other', study_id='0123'),
        tmp_path / 'cut.json',
        tmp_path / 'absent.json',
        write_votes('neither', 'r2', votes=[vote | {'choice': 'c'}, vote | {'seconds': -1}]),
        write_votes('unknown', 'r3', votes=[vote | {'trial': 'ff'}]),
        write_votes('twice', 'r4', votes=[vote, vote]),
        write_votes('more', 'r5', mood='good'),
    ]
    problems = [p.removeprefix(f'{tmp_path}/') for p in problems_of(paths, study)]
    expected = [
        f'other.json: votes of study 0123, but this is study {study.study}.',
        'cut.json: cannot be read as JSON',
        'absent.json: there is no such file.',
        "neither.json: votes.0.choice: Input should be 'a' or 'b'",
        'neither.json: votes.1.seconds: Input should be greater than or equal to 0',
        'unknown.json: ff: no question of this study.',
        f'twice.json: {key}: answered twice.',
        'more.json: mood: Extra inputs are not permitted',
    ]
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


def test_of_two_files_of_a_rater_the_longer_is_kept_and_both_named(study, write_votes, caplog):
    paths = [write_votes('short', count=1), write_votes('long', count=3), write_votes('r2', 'r2')]
    with caplog.at_level(logging.WARNING, 'iqasr'):
        ballots = read_ballots(paths, study)
    assert [(ballot.rater, len(ballot.votes)) for ballot in ballots] == [('r1', 3), ('r2', 3)]
    assert f'{paths[0]} and {paths[1]} are both of rater r1; keeping {paths[1]}' in caplog.text


def test_pair_votes_name_the_crops_that_people_saw(study, write_votes, tmp_path):
    ballots = read_ballots([write_votes('r1')], study)
    found = pair_votes(study, tmp_path, ballots)
    assert [c.choice for c in found] == ['a', 'a', 'a']
    assert all(Path(path).is_file() for c in found for path in (c.path_a, c.path_b))
    item = study.items[ballots[0].votes[0].trial]
    assert found[0].source_id == item.source
    assert found[0].path_a == str(tmp_path / 'crops' / item.a / f'{item.source}.png')


def test_manifest_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataError, match='there is no such file'):
        read_manifest(tmp_path / 'study.json')
    (tmp_path / 'study.json').write_text('{"study": "x"}')
    with pytest.raises(DataError, match=r'study.json: methods: Field required'):
        read_manifest(tmp_path / 'study.json')


def test_votes_become_pairs_without_raters_who_did_not_look(study, write_votes, tmp_path):
    blind = [
        {'trial': key, 'choice': choice, 'side': 'left', 'seconds': 1}
        for key, choice in [(key, 'b') for key in study.items]
        + [(key, 'ab'[catch.answer == 'a']) for key, catch in study.catch.items()]
    ]
    paths = [write_votes('r1', count=4), write_votes('blind', 'r2', votes=blind)]
    pairs = pairs_from_study(str(tmp_path / 'study.json'), list(map(str, paths))).pairs
    items = [study.items[key] for key in list(study.items)[:4]]
    expected = {
        (*sorted(str(tmp_path / image) for image in (item.image_a, item.image_b)), item.source)
        for item in items
    }
    assert {(pair.path_a, pair.path_b, pair.source_id) for pair in pairs} == expected
    preferred = {pair.path_b if pair.p_b else pair.path_a for pair in pairs}
    assert preferred == {str(tmp_path / item.image_a) for item in items}
    with pytest.raises(DataError, match='no vote is left; 1 of 1 raters'):
        pairs_from_study(str(tmp_path / 'study.json'), [str(paths[1])])
    other = write_votes('other', study_id='0123')
    with pytest.raises(DataError, match='votes of study 0123'):
        pairs_from_study(str(tmp_path / 'study.json'), [str(other)])


def test_votes_without_their_study_or_on_one_source_are_refused(study, write_votes, tmp_path):
    with pytest.raises(DataError, match=r'pairs\.csv: votes belong to the study\.json'):
        pairs_from_study('pairs.csv', [])
    with pytest.raises(DataError, match='all pairs come from one source'):
        pairs_from_study(str(tmp_path / 'study.json'), [str(write_votes('r1', count=1))])


def test_study_leads_to_an_ensemble_that_chooses_ground_truths(study, tmp_path):
    """Votes are by sharpness; the scorer fitted to them mostly gives the sharper candidate."""
    order = {'fine_net': 0, 'soft_net': 1, 'dull_net': 2}
    votes = []
    for key, item in study.items.items():
        choice = 'a' if order[item.a] < order[item.b] else 'b'
        votes.append({'trial': key, 'choice': choice, 'side': 'left', 'seconds': 1})
    ballot = {'study': study.study, 'rater': 'r', 'started': 'now', 'votes': votes}
    (tmp_path / 'r.json').write_text(json.dumps(ballot))
    pairs = pairs_from_study(str(tmp_path / 'study.json'), [str(tmp_path / 'r.json')])
    report, analysis, failures = analyse_metrics(
        pairs, ['ranker', 'entropy'], str(tmp_path / 'out'), resamples=50, cpu=True
    )
    assert failures == {}
    assert analysis.combinations == []  # three photographs
    assert 'nothing is claimed of combinations' in report
    options = yaml.safe_load((tmp_path / 'out/ensemble.yml').read_text())
    scorer = build(SCORER_REGISTRY, options['datasets']['train']['quality']['scorer'])
    sampler = build(GT_SAMPLER_REGISTRY, {'type': 'ArgmaxSampler'})
    right = []
    for pair in pairs.pairs:
        images = [torch.from_numpy(pairs.reader.image(path)) for path in pair[:2]]
        quality = scorer(torch.stack(images).permute(0, 3, 1, 2).float() / 255)
        right.append(sampler.probabilities(quality[None]).tolist() == [[1 - pair.p_b, pair.p_b]])
    assert sum(right) >= 0.75 * len(right)
