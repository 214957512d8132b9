"""Adversarial training: the losses of the generator and of the discriminator.

Source:
    Goodfellow et al. (2014), Generative Adversarial Nets; the forms of the loss are those of
    BasicSR's ``GANLoss``. Relativistic: Jolicoeur-Martineau (2018), The relativistic discriminator,
    as in BasicSR's ``ESRGANModel``: the mean that logits are compared with has no gradient for the
    discriminator.
"""

from typing import Any, Literal, NamedTuple

import torch
from basicsr.losses.gan_loss import GANLoss
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iqasr.registry import LOSS_REGISTRY


@LOSS_REGISTRY.register()
class RelativisticGANLoss(GANLoss):
    """Relativistic average GAN loss: is an image more real than the average one of the others?

    Only `Adversary` makes it relativistic: it gives it differences of logits, as BasicSR's
    ``ESRGANModel`` does.

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


class Judgement(NamedTuple):
    """Both sides of the adversarial loss on one batch."""

    generator_loss: Tensor
    """Scalar; its gradient reaches the output only, and is known already."""

    discriminator_loss: Tensor
    """Scalar to back-propagate to the discriminator's weights: ``backward(inputs=weights)``."""

    log: dict[str, Tensor]
    """Detached: ``l_d_real``, ``l_d_fake``, and the mean logits ``out_d_real``, ``out_d_fake``."""


class Adversary:
    """A discriminator and its loss.

    In all methods, ``output`` and ``gt`` are restored and real images, :math:`(N, 3, H, W)`, real
    ones in [0, 1]; ``discriminator`` is the network as it is to be called in training, such as
    wrapped to average its gradients over processes.

    Args:
        discriminator: Network from images to logits.
        loss: BasicSR's ``GANLoss``, or `RelativisticGANLoss`.
    """

    def __init__(self, discriminator: nn.Module, loss: nn.Module) -> None:
        self.discriminator, self.loss = discriminator, loss
        self.relativistic = isinstance(loss, RelativisticGANLoss)

    def judge(
        self, output: Tensor, gt: Tensor, discriminator: nn.Module | None = None
    ) -> Judgement:
        """Evaluate both sides with one pass of each image.

        Neither network changes between the two sides, so that one pass serves both. That saves one
        of three passes, with its power iteration of spectral normalisation and draw of dropout.
        """
        value, gradient, loss, log = self.evaluate(output, gt, discriminator)
        return Judgement(KnownGradient.apply(output, value, gradient), loss, log)

    def evaluate(
        self, output: Tensor, gt: Tensor, discriminator: nn.Module | None = None
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Evaluate both sides with one pass, apart from the generator.

        Returns:
            The generator's side, detached; its gradient to the output; the discriminator's side, to
            be back-propagated; and the `Judgement.log`.
        """
        network = self.discriminator if discriminator is None else discriminator
        leaf = output.detach().requires_grad_()
        # Apart: in one pass, the generator's gradient would be carried through the real ones, too.
        real, fake = network(gt).float(), network(leaf).float()
        value = self._generator_side(real.detach(), fake)
        (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True)
        return (value.detach(), gradient, *self._discriminator_side(real, fake))

    def generator_loss(self, output: Tensor, gt: Tensor) -> Tensor:
        """Evaluate the generator's side; the discriminator gets no gradient from it."""
        self.discriminator.requires_grad_(False)
        fake, real = self.discriminator(output).float(), None
        if self.relativistic:
            with torch.no_grad():
                real = self.discriminator(gt).float()
        self.discriminator.requires_grad_(True)
        return self._generator_side(real, fake)

    def discriminator_loss(
        self, output: Tensor, gt: Tensor, discriminator: nn.Module | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Evaluate the discriminator's side; returns the loss and the `Judgement.log`."""
        network = self.discriminator if discriminator is None else discriminator
        output = output.detach()
        # Statistics of a batch must not mix real and restored images.
        if any(isinstance(module, _BatchNorm) for module in network.modules()):
            real, fake = network(gt), network(output)
        else:
            real, fake = network(torch.cat([gt, output])).chunk(2)
        return self._discriminator_side(real.float(), fake.float())

    def _generator_side(self, real: Tensor | None, fake: Tensor) -> Tensor:
        if not self.relativistic:
            return self.loss(fake, True, is_disc=False)
        swapped = self.loss(real - fake.mean(), False, is_disc=False)
        return (swapped + self.loss(fake - real.mean(), True, is_disc=False)) / 2

    def _discriminator_side(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if self.relativistic:
            l_real = self.loss(real - fake.detach().mean(), True, is_disc=True) / 2
            l_fake = self.loss(fake - real.detach().mean(), False, is_disc=True) / 2
        else:
            l_real = self.loss(real, True, is_disc=True)
            l_fake = self.loss(fake, False, is_disc=True)
        log = {
            'l_d_real': l_real.detach(),
            'l_d_fake': l_fake.detach(),
            'out_d_real': real.detach().mean(),
            'out_d_fake': fake.detach().mean(),
        }
        return l_real + l_fake, log


class KnownGradient(torch.autograd.Function):
    """A value whose gradient to the output is known: ``apply(output, value, gradient)``."""

    @staticmethod
    def forward(context: Any, output: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        """Return the value."""
        context.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(context: Any, factor: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient."""
        return factor * context.saved_tensors[0], None, None
