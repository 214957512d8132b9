"""Sharpened ground truths: what is fed, and what is refused."""

import pytest
import torch
from basicsr.utils.img_process_util import USMSharp

from iqasr.checking.check import load_options
from iqasr.data.build import build_dataset
from iqasr.models.sample_preparation import SamplePreparation
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.training.opt import add_place


@pytest.fixture
def prepare(candidate_options, write_options):
    """Prepare the first two samples; returns sharpened ground truths and the batch, too."""

    def pairs_of(sharpen):
        data = candidate_options['datasets']['train']
        data['sampling']['candidates'] = 'original'
        data['degradation'] = {'type': 'BicubicDegradation'}
        candidate_options['sharpen'] = sharpen
        options = load_options(write_options(candidate_options))
        dataset = build_dataset(add_place(options.train_set, 'train', 4), scale=4, phase='train')
        batch = torch.utils.data.default_collate([dataset[0], dataset[1]])
        preparation = SamplePreparation(
            options.train_set, scale=4, sharpen=sharpen, process=Process(), seed=0
        )
        pairs = preparation(batch, 0)[0]
        return pairs, preparation.sharpen_gt(pairs), batch

    return pairs_of


def test_terms_get_the_ground_truth_after_basicsrs_unsharp_mask(prepare):
    pairs, sharpened, batch = prepare(['pixel'])
    torch.testing.assert_close(pairs.gt, batch['gt'] / 255)
    assert torch.equal(sharpened, USMSharp()(pairs.gt))
    assert not torch.equal(sharpened, pairs.gt)


def test_a_sharpened_original_is_both_degraded_and_ground_truth(prepare):
    plain, _, batch = prepare([])
    pairs, sharpened, _ = prepare(['original'])
    top, left = batch['offset'][0].tolist()
    whole = USMSharp()(batch['original'][:1] / 255)
    torch.testing.assert_close(pairs.gt[0], whole[0, :, top : top + 32, left : left + 32])
    assert sharpened is None
    assert not torch.equal(pairs.lq, plain.lq)


def test_what_is_degraded_is_sharpened_and_no_ground_truth(prepare):
    plain, *_ = prepare([])
    pairs, sharpened, _ = prepare(['degraded'])
    both, *_ = prepare(['original'])
    assert torch.equal(pairs.gt, plain.gt)
    assert torch.equal(pairs.lq, both.lq)
    assert not torch.equal(pairs.lq, plain.lq)
    assert sharpened is None


@pytest.mark.parametrize('sharpen', [['gan'], []])
def test_the_discriminator_sees_sharpened_ground_truths_when_asked(
    sharpen, gan_options, model_of, iterate, batch_of
):
    model, seen, batch = model_of(gan_options | {'sharpen': sharpen}), [], batch_of(0)
    judge = model.step.judge
    model.step.judge = lambda output, real, parts: seen.append(real) or judge(output, real, parts)
    iterate(model, batch, 1)
    expected = USMSharp()(batch['gt']) if sharpen else batch['gt']
    assert torch.equal(seen[0], expected)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'sharpen': ['pixle']}, "no term is called 'pixle'. Did you mean 'pixel'?"),
        ({'sharpen': ['original', 'degraded']}, 'original and degraded exclude each other'),
        ({'sharpen': ['original']}, 'original needs sampling.candidates: original'),
        ({'sharpen': ['gan'], 'gt_size': 24}, 'is 24; `sharpen` needs more than 25 px'),
    ],
)
def test_wrong_sharpening_is_refused(change, message, candidate_options, write_options):
    size = change.get('gt_size', 32)
    candidate_options['datasets']['train']['gt_size'] = size
    candidate_options['sharpen'] = change['sharpen']
    with pytest.raises(OptionError) as caught:
        load_options(write_options(candidate_options))
    assert message in str(caught.value)
