"""Sharpened ground truths: what is fed, and what is refused."""

import pytest
import torch
from basicsr.utils.img_process_util import USMSharp

from iqasr.checking.check import load_options
from iqasr.models.feeder import Feeder
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.training.builders import build_choice, build_dataset


@pytest.fixture
def feed(candidate_options, write_options):
    """Feed the first two samples with some `sharpen`; returns the batch of the loader, too."""

    def fed(sharpen):
        candidate_options['sampling']['candidates'] = 'original'
        candidate_options['degradation'] = {'type': 'BicubicDegradation'}
        candidate_options['sharpen'] = sharpen
        options = load_options(write_options(candidate_options))
        dataset = build_dataset(options.datasets['train'], options, 'train')
        batch = torch.utils.data.default_collate([dataset[0], dataset[1]])
        feeder = Feeder(options, Process(), 0, build_choice(options, Process()))
        return feeder(batch, 0)[0], batch

    return fed


def test_terms_get_the_ground_truth_after_basicsrs_unsharp_mask(feed):
    fed, batch = feed(['pixel'])
    torch.testing.assert_close(fed.gt, batch['gt'] / 255)
    assert torch.equal(fed.sharpened, USMSharp()(fed.gt))
    assert not torch.equal(fed.sharpened, fed.gt)


def test_a_sharpened_original_is_both_degraded_and_ground_truth(feed):
    plain, batch = feed([])
    fed, _ = feed(['original'])
    top, left = batch['offset'][0].tolist()
    whole = USMSharp()(batch['original'][:1] / 255)
    torch.testing.assert_close(fed.gt[0], whole[0, :, top : top + 32, left : left + 32])
    assert fed.sharpened is None
    assert not torch.equal(fed.lq, plain.lq)


def test_what_is_degraded_is_sharpened_and_no_ground_truth(feed):
    plain, _ = feed([])
    fed, _ = feed(['degraded'])
    both, _ = feed(['original'])
    assert torch.equal(fed.gt, plain.gt)
    assert torch.equal(fed.lq, both.lq)
    assert not torch.equal(fed.lq, plain.lq)
    assert fed.sharpened is None


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
