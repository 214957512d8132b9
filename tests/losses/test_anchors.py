import pytest
import torch
from torch import nn

from iqasr.degradation import BicubicDegradation
from iqasr.losses import BaseDistanceLoss, Batch, LRConsistencyLoss, Objective, Term, build_term
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.errors import MissingWeightsError
from iqasr.runtime.randomness import generator_at


@pytest.fixture
def image(photographs):
    """One photograph, (1, 3, 96, 96)."""
    return torch.from_numpy(photographs[0]).permute(2, 0, 1)[None].float() / 255


def batch_of(lq, output, base=None):
    return Batch(lq=lq, gt=output.detach(), output=output.requires_grad_(), base=base)


def random_images(side=32, scale=4):
    place = generator_at('anchors')
    output, base = torch.rand(2, 2, 3, side, side, generator=place)
    return batch_of(torch.rand(2, 3, side // scale, side // scale, generator=place), output, base)


# Consistency with the LQ


@pytest.mark.parametrize('scale', [2, 3, 4])
@pytest.mark.parametrize('sigma_px', [0, 1.0])
def test_original_of_a_bicubic_lq_is_consistent_even_as_a_crop(scale, sigma_px, image):
    lq = BicubicDegradation(scale=scale).degrade(image, (96 // scale, 96 // scale), None)
    inside = slice(4, 20)
    crop = image[..., 4 * scale : 20 * scale, 4 * scale : 20 * scale].clone()
    term = Term(LRConsistencyLoss(sigma_px=sigma_px))
    assert term(batch_of(lq[..., inside, inside], crop)).item() < 1e-6
    assert term(batch_of(lq[..., inside, inside], crop + 0.1)).item() == pytest.approx(0.1, 1e-4)


def test_rounding_of_the_lq_costs_a_quarter_of_a_grey_level(image):
    lq = BicubicDegradation(scale=4)(image, None)
    loss = LRConsistencyLoss()(image, lq=lq).item()
    assert loss == pytest.approx(0.25 / 255, rel=0.2)


def test_consistency_by_hand():
    lq = torch.full((1, 3, 6, 6), 0.5)
    lq[..., 2:4, 2:4] = torch.tensor([[0.4, 0.6], [0.5, 0.9]])  # what the border leaves
    batch = batch_of(lq, torch.full((1, 3, 24, 24), 0.5))
    l1, l2 = (Term(LRConsistencyLoss(criterion=c, loss_weight=2.0))(batch) for c in ('l1', 'l2'))
    assert l1.item() == pytest.approx(2 * (0.1 + 0.1 + 0.4) / 4, rel=1e-5)
    assert l2.item() == pytest.approx(2 * (0.01 + 0.01 + 0.16) / 4, rel=1e-5)


@pytest.mark.parametrize('sigma_px', [0, 1.0])
def test_half_precision_is_compared_in_full(sigma_px, image):
    lq = BicubicDegradation(scale=4)(image, None).half()
    output = (image.half() * 0.9).requires_grad_()
    loss = LRConsistencyLoss(sigma_px=sigma_px)(output, lq=lq)
    assert loss.dtype == torch.float32
    full = LRConsistencyLoss(sigma_px=sigma_px)(output.float(), lq=lq.float())
    torch.testing.assert_close(loss, full)
    loss.backward()
    assert output.grad.isfinite().all()


def test_blur_forgives_noise_but_not_a_change_of_brightness(image):
    lq = BicubicDegradation(scale=4)(image, None)
    noisy = lq + 0.05 * torch.randn(lq.shape, generator=generator_at('noise'))
    plain, blurred = Term(LRConsistencyLoss()), Term(LRConsistencyLoss(sigma_px=2.0))
    batch = batch_of(noisy, image.clone())
    assert blurred(batch) < 0.25 * plain(batch)
    brighter = batch_of(lq + 0.05, image.clone())
    assert blurred(brighter).item() == pytest.approx(0.05, rel=0.05)


def test_steps_on_the_term_bring_the_output_back_to_the_lq(image):
    lq = BicubicDegradation(scale=4)(image, None)
    output = nn.Parameter(image + 0.1 * torch.randn(image.shape, generator=generator_at('x')))
    optimizer = torch.optim.Adam([output], lr=1e-2)
    loss = LRConsistencyLoss(criterion='l2')
    first = loss(output, lq=lq).item()
    for _ in range(30):
        optimizer.zero_grad()
        loss(output, lq=lq).backward()
        optimizer.step()
    assert loss(output, lq=lq).item() < 0.05 * first


def test_crop_that_is_all_border_is_refused():
    with pytest.raises(
        ValueError, match=r'has 4x4: nothing remains\. Make the crops larger \(gt_size\)'
    ):
        Term(LRConsistencyLoss())(random_images(side=16))


# Distance to the base


def test_pixel_distances_by_hand():
    batch = random_images()
    difference = batch.output - batch.base
    l1, l2 = (Term(BaseDistanceLoss(distance=d, loss_weight=0.5))(batch) for d in ('l1', 'l2'))
    assert l1.item() == pytest.approx(0.5 * difference.abs().mean().item(), rel=1e-6)
    assert l2.item() == pytest.approx(0.5 * difference.square().mean().item(), rel=1e-6)


@pytest.mark.parametrize('distance', ['l1', 'l2', 'feature', 'gram'])
def test_distance_is_0_to_itself_and_leads_back_to_the_base(distance, vgg):
    batch, term = random_images(), Term(BaseDistanceLoss(distance=distance))
    assert term(batch_of(batch.lq, batch.base.clone(), batch.base)).item() == 0
    loss = term(batch)
    (gradient,) = torch.autograd.grad(loss, batch.output)
    step = batch.output.detach() - 1e-2 * gradient / gradient.norm()
    assert term(batch_of(batch.lq, step, batch.base)) < loss


def test_gram_distance_sees_texture_and_not_its_place(vgg):
    batch = random_images(side=64)
    moved = batch.output.detach().roll((16, 16), (-2, -1))
    ratios = {}
    for distance in ('feature', 'gram'):
        term = Term(BaseDistanceLoss(distance=distance))
        near, far = (
            term(batch_of(batch.lq, output, batch.output.detach())).item()
            for output in (moved, batch.output.detach() / 2)
        )
        ratios[distance] = near / far
    assert ratios['gram'] < 0.5 * ratios['feature']


@pytest.mark.parametrize('kind', ['LPIPSScorer', 'STLPIPSScorer', 'DISTSScorer'])
def test_distance_by_a_scorer_is_as_published_and_leads_back(kind, random_weights):
    batch, scorer = random_images(side=64), build(SCORER_REGISTRY, {'type': kind})
    term = Term(BaseDistanceLoss(scorer={'type': kind}, loss_weight=0.5))
    loss = term(batch)
    published = scorer.published(scorer(batch.output, batch.base))
    assert loss.item() == pytest.approx(0.5 * published.mean().item(), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, batch.output)
    step = batch.output.detach() - 1e-2 * gradient / gradient.norm()
    assert term(batch_of(batch.lq, step, batch.base)) < loss
    assert term(batch_of(batch.lq, batch.base.clone(), batch.base)).item() < 1e-6


def test_scorer_of_the_distance_compares_and_fits_the_crops(random_weights):
    with pytest.raises(ValueError, match='scorer: ranker compares with nothing'):
        BaseDistanceLoss(scorer={'type': 'RankerScorer'})
    term = Term(BaseDistanceLoss(scorer={'type': 'LPIPSScorer'}))
    assert not list(term.parameters())
    with pytest.raises(ValueError, match='lpips needs 32 pixels a side'):
        term.check_size(31)
    term.check_size(32)
    Term(BaseDistanceLoss()).check_size(1)


@pytest.mark.usefixtures('no_weights')
def test_missing_vgg_is_named():
    with pytest.raises(MissingWeightsError, match=r'vgg19-dcbb9e9d\.pth'):
        build_term({'type': 'BaseDistanceLoss', 'distance': 'gram'})


def test_objective_tells_whether_the_base_is_needed():
    pixel, anchor = build_term({'type': 'L1Loss'}), build_term({'type': 'BaseDistanceLoss'})
    assert Objective({'pixel': pixel, 'base': anchor}).needs('base')
    assert not Objective({'pixel': pixel, 'lr': LRConsistencyLoss()}).needs('base')
