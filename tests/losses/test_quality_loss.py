import math
from dataclasses import replace

import pytest
import skimage.data
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from iqasr.losses import Batch, Objective, QualityLoss, Term, Views, build_term
from iqasr.losses.calibration import median_of
from iqasr.losses.low_pass import low_pass
from iqasr.losses.views import straight_through
from iqasr.quality import QualityScorer
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.randomness import generator_at


class Contrast(QualityScorer):
    """Tiny, deterministic and differentiable: the variance of a linear filter, in percent."""

    name, version, score_range = 'contrast', '1', (0.0, 100.0)
    min_size, differentiable = 8, True

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1, bias=False)
        self.layer.weight.fill_(1 / 3)

    def _score(self, image, reference=None):
        return 100 * self.layer(image).var((1, 2, 3))


class Likeness(QualityScorer):
    name, version, score_range = 'likeness', '1', (0.0, 1.0)
    needs_reference, differentiable = True, True

    def _score(self, image, reference):
        return 1 - (image - reference).square().mean((1, 2, 3))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'Contrast', Contrast)
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'Likeness', Likeness)


def term(**options):
    weight = {} if 'gradient_ratio' in options else {'loss_weight': 1.0}
    return Term(QualityLoss({'type': 'Contrast'}, **(weight | options)))


def batch(side=16, place=0, **more):
    output, gt = torch.rand(2, 2, 3, side, side, generator=generator_at('quality', place))
    return Batch(lq=gt[..., ::4, ::4], gt=gt, output=output.requires_grad_(), **more)


def deficit(image):
    return (1 - image.mean(1).var((1, 2))).mean().item()


def test_value_and_notes_by_hand():
    data, quality = batch(), term(loss_weight=2.0)
    assert quality(data).item() == pytest.approx(2 * deficit(data.output), rel=1e-5)
    assert quality.notes['q'].item() == pytest.approx(1 - deficit(data.output), rel=1e-4)
    assert quality.notes['w'].item() == 2.0


def test_gradient_of_the_ranker_is_that_of_its_logit_however_good_the_image():
    """A sigmoid would leave 4 % of it at this logit."""
    loss = QualityLoss({'type': 'RankerScorer'}, loss_weight=1.0)
    photograph = torch.from_numpy(skimage.data.coffee()[60:188, 200:328].copy())
    image = (photograph.permute(2, 0, 1)[None] / 255).requires_grad_()
    logit = loss.scorer.network(image)
    assert logit.item() > 3
    (expected,) = torch.autograd.grad(logit.sum(), image)
    (gradient,) = torch.autograd.grad(loss(image), image)
    inside = ((image > 0) & (image < 1)).all(1, keepdim=True)  # beyond, clamping ends it
    assert inside.float().mean() > 0.9
    torch.testing.assert_close(gradient * inside, -expected / 8 * inside, rtol=1e-3, atol=1e-7)
    assert gradient.norm().item() == pytest.approx(expected.norm().item() / 8, rel=1e-2)


def test_descent_on_the_term_raises_quality():
    data, quality = batch(), term()
    image = data.output.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([image], lr=1.0)
    before = deficit(image)
    for _ in range(20):
        optimizer.zero_grad()
        quality(Batch(data.lq, data.gt, image)).backward()
        optimizer.step()
    assert deficit(image) < before - 1e-3


def test_target_ends_the_gradient_image_by_image():
    flat = torch.full((1, 3, 16, 16), 0.5)
    flat[..., :8] = 0.6
    image = torch.cat([flat, batch().output.detach()[:1]]).requires_grad_()
    spread = image.detach().mean(1).var((1, 2))
    target = spread.mean().item()
    loss = term(target=target)(Batch(image, image, image))
    assert loss.item() == pytest.approx((target - spread[0].item()) / 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, image)
    assert gradient[0].abs().max() > 0
    assert gradient[1].abs().max() == 0


@pytest.mark.parametrize(('iteration', 'share'), [(1, 0.1), (5, 0.5), (10, 1), (11, 1)])
def test_warm_up_is_linear(iteration, share):
    data = batch(iteration=iteration)
    expected = share * deficit(data.output)
    assert term(warmup_iter=10)(data).item() == pytest.approx(expected, rel=1e-5)


def test_low_pass_changes_the_gradient_and_nothing_else():
    data, views = batch(), Views(count=2, crop=8)
    values, gradients = [], []
    for sigma_px in (0, 1.5):
        loss = term(views=views, gradient_sigma_px=sigma_px)
        values.append(loss(replace(data, generator=generator_at('views'))))
        gradients.append(torch.autograd.grad(values[-1], data.output)[0])
    assert values[0] == values[1]
    torch.testing.assert_close(gradients[1], low_pass(gradients[0], 1.5))


def test_called_alone_on_two_images_it_has_its_full_weight():
    data, loss = batch(), term(loss_weight=2.0, warmup_iter=10).loss
    expected = pytest.approx(2 * deficit(data.output), rel=1e-5)
    assert loss(data.output).item() == loss(data.output, data.gt).item() == expected


@pytest.mark.parametrize(
    ('scorer', 'options', 'reason'),
    [
        ('Likeness', {'loss_weight': 1.0}, 'needs gt=.* likeness is full-reference'),
        ('Contrast', {'loss_weight': 1.0, 'views': Views(flip=True)}, 'generator'),
        ('Contrast', {'gradient_ratio': 1.0}, 'only iqasr.losses.Objective measures it'),
    ],
)
def test_called_alone_it_says_what_is_missing(scorer, options, reason):
    with pytest.raises(ValueError, match=reason):
        QualityLoss({'type': scorer}, **options)(batch().output)


# Calibration


def objective(**options):
    pixel = build_term({'type': 'MSELoss', 'loss_weight': 3.0})
    return Objective({'quality': term(gradient_ratio=0.25, **options), 'pixel': pixel})


def norms(data, weight):
    pixel = 3 * (data.output - data.gt).square().mean()
    quality = weight * (1 - data.output.mean(1).var((1, 2))).mean()
    return [torch.autograd.grad(v, data.output)[0].norm().item() for v in (quality, pixel)]


def test_calibrated_gradient_has_the_asked_ratio():
    both, data = objective(calibrate_iter=1), batch()
    total, log = both(data)
    own, others = norms(data, log['w_quality'].item())
    assert own / others == pytest.approx(0.25, abs=1e-3)
    assert total.item() == pytest.approx((log['l_quality'] + log['l_pixel']).item(), rel=1e-6)


def test_calibration_measures_beyond_the_target_too():
    free, bound = (
        objective(calibrate_iter=1, **more)(batch())[1] for more in ({}, {'target': 0.01})
    )
    assert bound['l_quality'] == 0
    assert bound['w_quality'] == free['w_quality'] > 0


def ratio_of(data):
    own, others = norms(data, 1.0)
    return 0.25 * others / own


def contrast_batch(place, iteration):
    """A batch whose gradient of the quality is the smaller the later."""
    data = batch(place=place, iteration=iteration)
    output = 0.5 + (data.output.detach() - 0.5) / iteration
    return replace(data, output=output.requires_grad_())


def test_weight_is_the_median_of_the_first_batches_and_then_follows_the_last_ones():
    both = objective(calibrate_iter=3, calibrate_every=4)
    ratios = []
    for iteration in range(1, 20):
        data = contrast_batch(iteration, iteration)
        _, log = both(data)
        if iteration <= 3 or iteration % 4 == 0:
            ratios.append(ratio_of(data))
        last = sorted(ratios[-3:])
        expected = last[(len(last) - 1) // 2]
        assert log['w_quality'].item() == pytest.approx(expected, rel=1e-4)
    assert len(ratios) == 7
    assert len(both.calibration_state()['quality']) == 7


def test_weight_may_stay_as_it_is_first_found():
    both = objective(calibrate_iter=3, calibrate_every=0)
    ratios = []
    for iteration in range(1, 30):
        data = contrast_batch(iteration, iteration)
        _, log = both(data)
        ratios.append(ratio_of(data))
    assert log['w_quality'].item() == pytest.approx(sorted(ratios[:3])[1], rel=1e-4)


def test_vanishing_gradient_raises_the_weight_tenfold_at_most_and_a_warning_says_so():
    both, warnings = objective(calibrate_iter=1, calibrate_every=1), []
    _, log = both(batch())
    first = log['w_quality'].item()
    flat = torch.full((2, 3, 16, 16), 0.5)
    for contrast in (0.5, 0.01, 0.001, 0.0, 1.0, 0.0):
        data = batch()
        output = flat + contrast * (data.output.detach() - flat)
        _, log = both(replace(data, output=output.requires_grad_()))
        warnings.append(both.calibrations()['quality'].compare())
        if contrast < 0.5:
            assert log['w_quality'].item() == pytest.approx(10 * first, rel=1e-6)
        else:
            assert first * 0.9 < log['w_quality'].item() < 3 * first
    told = [bool(warning) for warning in warnings]
    assert told == [False, True, False, False, False, True]  # once each time the limit is reached
    assert 'has hardly any gradient left' in warnings[1]


def test_resume_within_and_after_calibration_is_exact():
    def run(both, start, stop):
        iterations = range(start, stop)
        return [both(contrast_batch(i, i))[0].item() for i in iterations]

    how = {'calibrate_iter': 4, 'calibrate_every': 3}
    expected = run(objective(**how), 1, 16)
    for stop in (3, 8):
        first, second = objective(**how), objective(**how)
        values = run(first, 1, stop)
        second.load_calibration_state(first.calibration_state())
        assert values + run(second, stop, 16) == expected


def test_state_of_a_frozen_calibration_goes_on_following():
    both = objective(calibrate_iter=3, calibrate_every=2)
    both.load_calibration_state({'quality': torch.tensor([8.0, 2.0, 4.0])})
    assert both(batch(iteration=1))[1]['w_quality'].item() == 0.25 * 4
    data = batch(iteration=2)
    expected = sorted([0.25 * 2, 0.25 * 4, ratio_of(data)])[1]
    assert both(data)[1]['w_quality'].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('count', [1, 2, 4, 5])
def test_median_is_that_of_torch(count):
    values = torch.rand(count, generator=generator_at('median', count)).log()
    for missing in range(count + 1):
        holes = values.index_fill(0, torch.arange(missing), math.nan)
        torch.testing.assert_close(
            median_of(holes), holes.nanmedian(), rtol=0, atol=0, equal_nan=True
        )
    assert median_of(torch.empty(0)).isnan()


class CountReadings(TorchDispatchMode):
    """Counts how often the host reads a value back from a tensor."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_only_the_last_of_the_first_measurements_waits():
    both, waits = objective(calibrate_iter=3, calibrate_every=2), []
    for iteration in range(1, 9):
        with CountReadings() as readings:
            both(batch(iteration=iteration))
        waits.append(readings.count)
    assert waits == [0, 0, 1, 0, 0, 0, 0, 0]
    assert len(both.calibration_state()['quality']) == 3 + 3


def test_calibration_without_other_terms_is_refused():
    with pytest.raises(ValueError, match='no term to compare with'):
        Objective({'quality': term(gradient_ratio=1.0)})


def test_others_without_gradient_leave_no_weight():
    data = batch()
    still = Batch(lq=data.lq, gt=data.output.detach(), output=data.output)
    both = objective(calibrate_iter=2)
    both(still)
    with pytest.raises(ValueError, match='Give loss_weight instead'):
        both(still)


def test_flat_output_does_not_spoil_the_calibration():
    both, data = objective(calibrate_iter=3), batch()
    flat = torch.full_like(data.output, 0.5).requires_grad_()
    total, log = both(Batch(data.lq, data.gt, flat))
    assert log['w_quality'] == 0
    assert total.isfinite()
    for _ in range(2):
        _, log = both(data)
    own, others = norms(data, log['w_quality'].item())
    assert own / others == pytest.approx(0.25, abs=1e-3)


# Views


def seen(views, side=16, place=0):
    image = batch(side).output
    return image, Views(**views).draw(image, generator_at('view', place))


def test_straight_through_is_the_operation_with_the_gradient_of_the_identity():
    image = batch().output
    result = straight_through(image, torch.round)
    slope = torch.rand(image.shape, generator=generator_at('slope'))
    assert torch.equal(result, image.round())
    assert torch.equal(torch.autograd.grad(result, image, slope)[0], slope)


@pytest.mark.parametrize('views', [{'rounding': True}, {'jpeg_range': [60, 80]}])
def test_coded_views_differ_and_keep_the_gradient(views):
    image, view = seen(views)
    slope = torch.rand(image.shape, generator=generator_at('slope'))
    assert not torch.equal(view, image)
    torch.testing.assert_close(view * 255, (view * 255).round(), atol=1e-3, rtol=0)
    assert torch.equal(torch.autograd.grad(view, image, slope)[0], slope)


@pytest.mark.parametrize('views', [{}, {'rounding': True}, {'jpeg_range': [90, 90]}])
def test_every_pixel_of_a_photograph_has_a_gradient_black_and_white_ones_too(views):
    photograph = torch.from_numpy(skimage.data.astronaut()[:128, 256:384].copy())
    strong = 0.5 + 2 * (photograph.permute(2, 0, 1)[None] / 255 - 0.5)
    image = strong.clamp(0, 1).requires_grad_()
    assert ((image == 0) | (image == 1)).float().mean() > 0.1
    loss = QualityLoss({'type': 'RankerScorer'}, loss_weight=1.0, views=views)
    (gradient,) = torch.autograd.grad(loss(image, generator=generator_at('view', 0)), image)
    assert (gradient == 0).float().mean() < 1e-3


def test_crops_shifts_and_flips_are_windows_of_the_image():
    image = batch().output
    windows = [
        w[..., y : y + 12, x : x + 12]
        for w in (image, image.flip(-1))
        for y in range(5)
        for x in range(5)
    ]
    found = set()
    for place in range(150):
        for views in ({'crop': 12, 'flip': True}, {'shift': 2, 'flip': True}):
            _, view = seen(views, place=place)
            matches = [i for i, window in enumerate(windows) if torch.equal(window, view)]
            assert len(matches) == 1
            found |= set(matches)
    assert len(found) > 40


def test_rescaled_view_has_the_size_and_the_mean():
    image, view = seen({'rescale_range': [0.5, 0.5]}, side=32)
    assert view.shape == (2, 3, 16, 16)
    assert view.mean().item() == pytest.approx(image.mean().item(), abs=2e-3)


@pytest.mark.parametrize('sigma', [2.0, 20.0])
def test_noisy_view_has_the_noise_asked_for_on_all_images_and_the_gradient_of_the_identity(sigma):
    image = torch.full((2, 3, 64, 64), 0.5, requires_grad=True)
    view = Views(noise_range=(sigma, sigma)).draw(image, generator_at('noise'))
    noise = 255 * (view - image).detach()
    assert noise.std().item() == pytest.approx(sigma, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.05 * sigma)
    assert torch.equal(view[0], view[1])
    assert torch.equal(torch.autograd.grad(view.sum(), image)[0], torch.ones_like(image))


def test_noise_level_is_drawn_anew_for_each_view_and_within_the_range():
    image, generator = torch.full((1, 3, 64, 64), 0.5), generator_at('noise')
    views = Views(noise_range=(1, 10))
    levels = [255 * (views.draw(image, generator) - image).std().item() for _ in range(20)]
    assert 0.9 < min(levels) < 3
    assert 8 < max(levels) < 10.5


def test_views_are_a_function_of_the_generator():
    everything = {'shift': 2, 'flip': True, 'rescale_range': [0.8, 1.2], 'noise_range': [1, 5]}
    views = everything | {'rounding': True, 'jpeg_range': [60, 90]}
    assert torch.equal(seen(views, place=3)[1], seen(views, place=3)[1])
    assert not any(
        torch.equal(seen({kind: option}, place=3)[1], seen({kind: option}, place=4)[1])
        for kind, option in {'shift': 2, 'noise_range': [1, 5], 'jpeg_range': [60, 90]}.items()
    )


def test_quality_is_the_mean_over_views_of_the_generator():
    data = batch(generator=generator_at('views'))
    generator, views = generator_at('views'), Views(crop=8)
    cut = [views.draw(data.output, generator) for _ in range(3)]
    expected = sum(map(deficit, cut)) / 3
    assert term(views=Views(crop=8, count=3))(data).item() == pytest.approx(expected, rel=1e-5)


def test_scorer_that_compares_gets_the_ground_truth_under_the_same_view():
    data = batch()
    same = Batch(data.lq, data.output.detach(), data.output, generator_at('same'))
    ranges = {'rescale_range': (0.8, 1.2), 'noise_range': (1, 5), 'jpeg_range': (50, 90)}
    views = Views(crop=8, flip=True, **ranges)
    loss = Term(QualityLoss({'type': 'Likeness'}, loss_weight=1.0, views=views))
    assert loss(same).item() == pytest.approx(0, abs=1e-6)
    plain = QualityLoss({'type': 'Likeness'}, loss_weight=1.0)(data.output, data.gt).item()
    assert plain == pytest.approx((data.output - data.gt).square().mean().item(), rel=1e-5)


def test_random_member_is_drawn_from_the_batch():
    members = [{'type': 'Contrast'}, {'type': 'Contrast', 'range': [0, 50]}]
    section = {'type': 'EnsembleScorer', 'scorers': members, 'fusion': 'random'}
    loss = Term(QualityLoss(section, loss_weight=1.0))
    values = {loss(batch(generator=generator_at('member', i))).item() for i in range(12)}
    assert len(values) == 2


@pytest.mark.parametrize(
    ('views', 'reason'),
    [
        ({'crop': 8, 'shift': 2}, 'exclude each other'),
        ({'count': 2, 'rounding': True}, 'count > 1 needs'),
        ({'jpeg_range': [90, 60]}, 'reversed'),
        ({'noise_range': [-1, 5]}, 'greater than or equal to 0'),
        ({'crops': 8}, 'Extra inputs'),
    ],
)
def test_views_that_make_no_sense_are_refused(views, reason):
    with pytest.raises(ValidationError, match=reason):
        Views(**views)


def test_crops_too_small_are_refused_before_training():
    with pytest.raises(ValueError, match='contrast needs 8 pixels a side'):
        term(views=Views(crop=4))
    with pytest.raises(ValueError, match='can have 7'):
        term(views=Views(rescale_range=(0.5, 1.0))).check_size(15)
    with pytest.raises(ValueError, match='crop: 24 px are more than gt_size, 16'):
        term(views=Views(crop=24)).check_size(16)
    term(views=Views(shift=4)).check_size(16)


@pytest.mark.parametrize('options', [{}, {'loss_weight': 1.0, 'gradient_ratio': 1.0}])
def test_one_way_to_the_weight(options):
    with pytest.raises(ValueError, match='either loss_weight or gradient_ratio'):
        QualityLoss({'type': 'Contrast'}, **options)


def test_scorer_without_gradient_is_refused():
    with pytest.raises(ValueError, match='niqe cannot be optimised: it has no gradient'):
        build_term({'type': 'QualityLoss', 'scorer': {'type': 'NIQEScorer'}, 'loss_weight': 1.0})


# The scorer stays outside


def test_scorer_is_no_part_of_the_term():
    both = objective()
    assert both.state_dict() == {}
    assert list(both.parameters()) == []
    scorer = both.terms['quality'].loss.scorer
    both.train()
    assert not scorer.training
    assert not any(p.requires_grad for p in scorer.parameters())


def test_musiq_with_random_weights_has_finite_gradients_and_stays_outside():
    pytest.importorskip('pyiqa')
    section = {'type': 'PyIQAScorer', 'metric': 'musiq', 'options': {'pretrained': False}}
    quality = QualityLoss(section, loss_weight=1.0)
    flat = [torch.full((3, 96, 96), value) for value in (0.5, 0.0, 1.0)]
    noise = torch.rand(3, 96, 96, generator=generator_at('noise'))
    image = torch.stack([*flat, noise]).requires_grad_()
    both = Objective({'quality': quality})
    before, _ = both(Batch(image, image, image))
    (gradient,) = torch.autograd.grad(before, image)
    assert gradient.isfinite().all()
    assert gradient[3].abs().max() > 0
    assert both.state_dict() == {}
    with torch.no_grad():
        assert both.train()(Batch(image, image, image))[0].item() == before.item()
