import pytest

from iqasr.degradation import FinalSinc, FirstStage, SecondStage, SingleStage, Stage
from iqasr.degradation import FirstOrderDegradation as First
from iqasr.degradation import SecondOrderDegradation as Second


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'blur_sigm': [0.1, 1.0]}, 'blur_sigm\n.*not permitted'),
        ({'blur_sigma': [1.0, 0.1]}, r'blur_sigma\n.*\[1.0, 0.1\] is reversed'),
        ({'blur_sigma': [0.0, 0.1]}, r'blur_sigma.0\n.*greater than 0'),
        ({'blur_kernel_size': [3, 8]}, r'blur_kernel_size\n.*\[3, 8\] holds an even kernel size'),
        ({'blur_kernel_size': [9, 3]}, r'blur_kernel_size\n.*reversed'),
        ({'blur_kernel_size': [2.5, 3]}, 'blur_kernel_size.0\n.*integer'),
        ({'kernel_prob': {'iso': 0, 'aniso': 0}}, 'kernel_prob\n.*sums to 0'),
        ({'kernel_prob': {}}, 'kernel_prob\n.*sums to 0'),
        ({'kernel_prob': {'isotropic': 1}}, 'kernel_prob.isotropic'),
        ({'kernel_prob': {'iso': -1, 'aniso': 2}}, 'kernel_prob.iso\n.*greater than or equal'),
        ({'resize_prob': {'up': 0.0}}, 'resize_prob\n.*sums to 0'),
        ({'resize_range': [1.1, 1.2]}, r'resize_range\n.*\[1.1, 1.2\] does not hold 1'),
        ({'resize_range': [0, 1.2]}, 'resize_range.0\n.*greater than 0'),
        ({'betag_range': [2.0, 4.0]}, 'betag_range\n.*does not hold 1'),
        ({'sinc_prob': 1.5}, 'sinc_prob\n.*less than or equal to 1'),
        ({'noise_range': [-1, 12]}, 'noise_range.0\n.*greater than or equal to 0'),
        ({'noise_range': [1, float('inf')]}, 'noise_range.1\n.*finite'),
        ({'jpeg_range': [0, 95]}, 'jpeg_range.0\n.*greater than or equal to 1'),
        ({'jpeg_range': [75, 101]}, 'jpeg_range.1\n.*less than or equal to 100'),
        ({'jpeg': 'libjpeg'}, "jpeg\n.*'auto', 'codec' or 'diff'"),
    ],
)
def test_bad_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        First(scale=4, stage=options)
    with pytest.raises(ValueError, match=message):
        Second(scale=4, second=options)


def test_bad_final_sinc_is_refused():
    with pytest.raises(ValueError, match='even kernel size'):
        Second(scale=4, final_sinc={'kernel_size': [6, 20]})


def test_bad_scale_is_refused():
    with pytest.raises(ValueError, match='scale: 0 is not positive'):
        First(scale=0)


def test_fields_that_are_not_given_keep_the_values_of_their_place():
    degradation = Second(scale=4, second={'jpeg_range': [50, 60]})
    assert degradation.second.jpeg_range == (50, 60)
    assert degradation.second.blur_sigma == (0.2, 1.5)
    assert degradation.first == FirstStage()


def test_options_may_be_objects():
    stage = SingleStage(noise_range=(2, 3))
    assert First(scale=4, stage=stage).stage is stage


@pytest.mark.parametrize('options', [FirstStage, SecondStage, SingleStage, FinalSinc])
def test_published_defaults_pass_their_own_checks(options):
    assert options.model_validate(options().model_dump(mode='json')) == options()


@pytest.mark.parametrize('options', [Stage, FinalSinc])
def test_every_field_is_described(options):
    assert all(field.description for field in options.model_fields.values())
