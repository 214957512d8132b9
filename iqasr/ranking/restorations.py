"""Ladders over the output of a network: the photograph, the output, and worse than that.

Outputs of real networks teach a ranker what is missing in them, and that their grain is none of it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.degradation.draws import happens, uniform
from iqasr.quality.base import digest_of
from iqasr.ranking.distortions import Distortion, gaussian_blur, make_ladder

OUTPUT_SEVERITY = 0.3
"""Severity of an output: about that of bicubic enlargement by 2."""

LONGEST_TUNING = 3.5
"""How many times the change by tuning the last rung of a `Tuning` has."""

GRAIN_LEVELS = (0.5, 4.0)
"""Standard deviation of the grain that half of the outputs get, in grey levels."""


class Restoration:
    """A network that enlarges reduced photographs again.

    Args:
        network: Super-resolution network.
        scale: Its up-sampling factor.
        name: What errors call it.
    """

    def __init__(self, network: nn.Module, scale: int = 4, name: str = 'unnamed') -> None:
        self.network, self.scale = network.eval().requires_grad_(False), scale
        self.name = name

    @property
    def digest(self) -> str:
        """Hash of the weights."""
        return digest_of(self.network.state_dict())

    @torch.no_grad()
    def restore(self, image: Tensor) -> Tensor:
        """Reduce images bicubically to 8 bits, and enlarge them again.

        Args:
            image: :math:`(N, 3, H, W)` in [0, 1], H and W multiples of the scale.

        Returns:
            The output of the network, as `image`.
        """
        return self.network(reduce_to_8_bits(image, self.scale)).clamp(0, 1)

    def distort(self, image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
        """Interpolate: 0 is the photograph, 0.5 the output, 1 bicubic enlargement."""
        output = self.restore(image)
        if severity <= 0.5:
            return torch.lerp(image, output, 2 * severity)
        reduced = reduce_to_8_bits(image, self.scale)
        bicubic = F.interpolate(reduced, image.shape[-2:], mode='bicubic', antialias=True)
        return torch.lerp(output, bicubic.clamp(0, 1), 2 * severity - 1)

    def ladder(
        self,
        photograph: Tensor,
        distortion: Distortion,
        severity: Sequence[float],
        generator: torch.Generator,
    ) -> tuple[Tensor, list[float]]:
        """Make a ladder.

        Args:
            photograph: :math:`(1, 3, H, W)` in [0, 1].
            distortion: What damages the output further.
            severity: Severities of that, ascending, the first 0.
            generator: CPU generator.

        Returns:
            The photograph, a mixture with the output, the output, and the damaged outputs,
            :math:`(L + 2, 3, H, W)`; and their severities.
        """
        output = self.restore(photograph)
        if happens(0.5, generator):
            output = add_grain(output, generator)
        share = uniform(0.3, 0.7, 1, generator).item()
        damaged = make_ladder(output, distortion, severity, generator)[0]
        mixture = torch.lerp(photograph, output, share)
        worse = [OUTPUT_SEVERITY + (1 - OUTPUT_SEVERITY) * value for value in severity]
        return (
            torch.cat([photograph, mixture, damaged]),
            [0.0, share * OUTPUT_SEVERITY, *worse],
        )


class Tuning:
    """A network before and after it was tuned on a ranker; going further that way is a ladder.

    What tuning adds may please other judges, too; several times that is what the ranker alone
    rewards: patterns, or broken edges. A ranker that has learnt this can be tuned on again.

    Args:
        before: Network that was trained in the same way without the ranker.
        after: Network that was tuned on it.
        scale: Up-sampling factor of both.
        name: What errors call it.
    """

    def __init__(
        self, before: nn.Module, after: nn.Module, scale: int = 4, name: str = 'unnamed'
    ) -> None:
        self.scale, self.name = scale, name
        self.before, self.after = Restoration(before, scale), Restoration(after, scale)

    @property
    def digest(self) -> str:
        """Hash of the weights."""
        return self.before.digest + self.after.digest

    def ladder(self, photograph: Tensor, rungs: int) -> tuple[Tensor, list[float]]:
        """Make a ladder.

        Args:
            photograph: :math:`(1, 3, H, W)` in [0, 1].
            rungs: Images below the photograph, 2 or more.

        Returns:
            The photograph, the output before, and ever further beyond it in the direction of the
            output after, :math:`(rungs + 1, 3, H, W)`; and their severities.
        """
        before, after = self.before.restore(photograph), self.after.restore(photograph)
        further = [LONGEST_TUNING * rung / (rungs - 1) for rung in range(rungs)]
        outputs = [(before + step * (after - before)).clamp(0, 1) for step in further]
        worse = [OUTPUT_SEVERITY * (1 + step / LONGEST_TUNING) for step in further]
        return torch.cat([photograph, *outputs]).mul(255).round().div(255), [0.0, *worse]


def reduce_to_8_bits(image: Tensor, scale: int) -> Tensor:
    """Reduce images, :math:`(N, 3, H, W)` in [0, 1], bicubically, rounded to 8 bits."""
    small = [side // scale for side in image.shape[-2:]]
    reduced = F.interpolate(image, small, mode='bicubic', antialias=True).clamp(0, 1)
    return reduced.mul(255).round().div(255)


def add_grain(image: Tensor, generator: torch.Generator) -> Tensor:
    """Add faint noise, in colour or grey, fine or coarser, as film and some networks do."""
    channels = 3 if happens(0.5, generator) else 1
    grain = torch.randn(len(image), channels, *image.shape[-2:], generator=generator)
    size = uniform(0.0, 1.2, 1, generator).item()
    grain = gaussian_blur(grain, size) if size > 0.3 else grain
    level = uniform(*GRAIN_LEVELS, 1, generator).item()
    return (image + grain / grain.std() * level / 255).clamp(0, 1)
