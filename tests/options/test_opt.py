"""Building from BasicSR's one dict."""

import inspect
import pickle

import pytest

from iqasr.options.opt import accepts_opt, build_checked
from iqasr.registry import DEGRADATION_REGISTRY, GT_SAMPLER_REGISTRY, takes_options
from iqasr.runtime.errors import OptionError


@accepts_opt
class Crops:
    """A data set in all but its images."""

    def __init__(
        self,
        dataroot_gt: str,
        *,
        gt_size: int | None = None,
        strength: float = 0.5,
        margins: list[float] | None = None,
    ) -> None:
        self.dataroot_gt, self.gt_size = dataroot_gt, gt_size
        self.strength, self.margins = strength, margins


@accepts_opt
class Wider(Crops):
    """Adds an argument of its own."""

    def __init__(self, *, width: int, **rest) -> None:
        super().__init__(**rest)
        self.width = width


OPT = {'type': 'Crops', 'name': 'a', 'phase': 'train', 'scale': 4, 'dataroot_gt': '/data'}


def test_numbers_that_basicsr_reads_as_strings_are_converted():
    made = Crops(OPT | {'strength': '1e-4', 'gt_size': '64', 'margins': ['1e1', 2]})
    assert (made.strength, made.gt_size, made.margins) == (1e-4, 64, [10.0, 2.0])


def test_section_is_kept_as_opt():
    assert Crops(OPT).opt == OPT
    assert Crops({'dataroot_gt': '/data', 'phase': 'val'}).opt['name'] == 'val'


@pytest.mark.parametrize(('size', 'phase'), [(64, 'train'), (None, 'val')])
def test_keywords_make_an_opt_too(size, phase):
    made = Crops('/data', gt_size=size)
    assert made.opt == {'name': 'Crops', 'phase': phase, 'dataroot_gt': '/data', 'gt_size': size}


def test_all_problems_are_named_with_their_option():
    with pytest.raises(OptionError) as caught:
        Crops(OPT | {'strenght': 1, 'gt_size': [], 'num_worker': 2})
    lines = str(caught.value).splitlines()
    assert [line.split(':')[0] for line in sorted(lines)] == [
        f'datasets.a.{name}' for name in ('gt_size', 'num_worker', 'strenght')
    ]
    assert "Did you mean 'strength'?" in str(caught.value)
    assert "Did you mean 'num_worker_per_gpu'?" in str(caught.value)


def test_missing_argument_is_named():
    with pytest.raises(OptionError, match=r'^datasets\.a\.dataroot_gt: is required and missing\.$'):
        Crops({'name': 'a'})


def test_relative_paths_are_looked_up(tmp_path, monkeypatch):
    (tmp_path / 'data').mkdir()
    monkeypatch.chdir(tmp_path)
    assert Crops(OPT | {'dataroot_gt': 'data'}).dataroot_gt == str(tmp_path / 'data')


def test_signature_stays_that_of_the_constructor():
    assert list(inspect.signature(Crops).parameters) == [
        'dataroot_gt',
        'gt_size',
        'strength',
        'margins',
    ]
    assert not takes_options(Crops)


def test_derived_classes_add_arguments():
    made = Wider(OPT | {'type': 'Wider', 'width': 3, 'strength': '2'})
    assert (made.width, made.strength, made.opt['type']) == (3, 2.0, 'Wider')
    assert Wider(width=3, dataroot_gt='/data').opt['width'] == 3


def test_sections_inside_are_built_with_their_values_converted():
    section = {'type': 'SecondOrderDegradation', 'queue': 1}
    with pytest.raises(OptionError, match=r'^d\.degradation\.queue: unknown option'):
        build_checked(DEGRADATION_REGISTRY, 'd.degradation', section, scale=4)
    built = build_checked(DEGRADATION_REGISTRY, 'd', {'type': 'BicubicDegradation'}, scale=2)
    assert built.scale == 2
    sampler = {'type': 'SoftmaxSampler', 'temperature': '1e-2'}
    assert build_checked(GT_SAMPLER_REGISTRY, 'd.sampling', sampler).temperature == 0.01


def test_objects_can_be_sent():
    assert pickle.loads(pickle.dumps(Crops(OPT))).opt == OPT
