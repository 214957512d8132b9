import pytest
from enhancement.photograph_files import Darken, write_photograph

from iqasr.enhancement import UnsharpMask
from iqasr.enhancement.patches import PatchRules
from iqasr.enhancement.recipe import Recipe
from iqasr.enhancement.settings import EnhancementSettings


@pytest.fixture
def source(photographs, tmp_path):
    """A folder of five photographs, 96 px each way."""
    for name, image in zip('abcde', photographs[::2], strict=True):
        write_photograph(tmp_path / 'photographs' / f'{name}.png', image)
    return tmp_path / 'photographs'


@pytest.fixture
def settings():
    """Two candidates, in patches of 48 px."""
    patches = PatchRules(48, 32, 4, least_contrast=5, least_detail=5)
    return EnhancementSettings([Recipe([Darken()]), Recipe([UnsharpMask()])], patches)
