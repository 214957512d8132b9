"""Adversarial training: the discriminator, its loss, and the term it gives the generator.

Source:
    Goodfellow et al. (2014), Generative Adversarial Nets; the forms of the loss are those of
    BasicSR's ``GANLoss``. Relativistic: Jolicoeur-Martineau (2018), The relativistic discriminator,
    as in BasicSR's ``ESRGANModel``: the mean that logits are compared with has no gradient for the
    discriminator.
"""

from typing import Literal

import torch
from basicsr.losses.gan_loss import GANLoss
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iqasr.losses.objective import Batch, Term
from iqasr.registry import LOSS_REGISTRY


@LOSS_REGISTRY.register()
class RelativisticGANLoss(GANLoss):
    """A discriminator that tells whether an image is more real than the average one of the others.

    Args:
        gan_type: Form of the loss, as of ``GANLoss``; not hinge, whose two parts cancel out.
        loss_weight: Weight of the generator's side; the discriminator's is 1.
    """

    def __init__(
        self,
        gan_type: Literal['vanilla', 'lsgan', 'wgan', 'wgan_softplus'] = 'vanilla',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(gan_type, loss_weight=loss_weight)


class AdversarialTerm(Term):
    """The generator's side: how real the discriminator takes the output to be.

    Args:
        discriminator: Network from images :math:`(N, 3, H, W)` to logits. It is not part of this
            term's state.
        loss: BasicSR's ``GANLoss``, or `RelativisticGANLoss`.
    """

    def __init__(self, discriminator: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self._discriminator = [discriminator]  # in a list, so that it is no submodule

    def forward(self, batch: Batch) -> Tensor:
        """Judge the output; the discriminator's own weights get no gradient."""
        discriminator = self._discriminator[0]
        discriminator.requires_grad_(False)
        fake = discriminator(batch.output)
        if not isinstance(self.loss, RelativisticGANLoss):
            discriminator.requires_grad_(True)
            return self.loss(fake, True, is_disc=False)
        with torch.no_grad():
            real = discriminator(batch.gt)
        discriminator.requires_grad_(True)
        swapped = self.loss(real - fake.mean(), False, is_disc=False)
        return (swapped + self.loss(fake - real.mean(), True, is_disc=False)) / 2


def discriminator_loss(
    discriminator: nn.Module, loss: nn.Module, gt: Tensor, output: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Evaluate the discriminator's side on real and restored images.

    One pass serves both unless the network has batch statistics, which must not mix them.

    Args:
        discriminator: Network from images to logits.
        loss: BasicSR's ``GANLoss``, or `RelativisticGANLoss`.
        gt: Real images, :math:`(N, 3, H, W)` in [0, 1].
        output: Restored images of the same shape, detached.

    Returns:
        The loss to minimise, and values to log: both losses and the mean logits.
    """
    if any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        real, fake = discriminator(gt), discriminator(output)
    else:
        real, fake = discriminator(torch.cat([gt, output])).chunk(2)
    if isinstance(loss, RelativisticGANLoss):
        l_real = loss(real - fake.detach().mean(), True, is_disc=True) / 2
        l_fake = loss(fake - real.detach().mean(), False, is_disc=True) / 2
    else:
        l_real, l_fake = loss(real, True, is_disc=True), loss(fake, False, is_disc=True)
    log = {
        'l_d_real': l_real.detach(),
        'l_d_fake': l_fake.detach(),
        'out_d_real': real.detach().mean(),
        'out_d_fake': fake.detach().mean(),
    }
    return l_real + l_fake, log
