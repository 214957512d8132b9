"""Adversarial training: the discriminator, its loss, and the term it gives the generator.

Source:
    Goodfellow et al. (2014), Generative Adversarial Nets; the forms of the loss are those of
    BasicSR's ``GANLoss``. Relativistic: Jolicoeur-Martineau (2018), The relativistic discriminator,
    as in BasicSR's ``ESRGANModel``: the mean that logits are compared with has no gradient for the
    discriminator.
"""

from typing import Any, Literal

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

    The discriminator can learn from the pass that judges the output for the generator, as neither
    has changed when the other's turn comes. That saves one of three passes; with them, one of
    three power iterations of spectral normalisation, and one of three draws of a dropout.

    Args:
        discriminator: Network from images :math:`(N, 3, H, W)` to logits. It is not part of this
            term's state.
        loss: BasicSR's ``GANLoss``, or `RelativisticGANLoss`.
        pupil: The discriminator as it is to learn from the same pass, such as wrapped to average
            its gradients over processes; None if it gets no gradient here.
        parts: Its gradients are those of its loss divided by this number of accumulated batches.

    Attributes:
        learnt: What `discriminator_loss` logs, and the loss, detached, of the last call.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        loss: nn.Module,
        pupil: nn.Module | None = None,
        *,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.loss, self.parts = loss, parts
        self.learnt: tuple[dict[str, Tensor], Tensor]
        # in lists, so that they are no submodules
        self._discriminator, self._pupil = [discriminator], [pupil]

    @property
    def teaches(self) -> bool:
        """Whether a call gives the discriminator its gradients, too."""
        return self._pupil[0] is not None

    def forward(self, batch: Batch) -> Tensor:
        """Judge the output."""
        discriminator = self._discriminator[0]
        if self.teaches:
            return self.teach(self._pupil[0], batch)
        discriminator.requires_grad_(False)
        fake = discriminator(batch.output).float()
        real = None
        if isinstance(self.loss, RelativisticGANLoss):
            with torch.no_grad():
                real = discriminator(batch.gt).float()
        discriminator.requires_grad_(True)
        return generator_loss(self.loss, real, fake)

    def teach(self, discriminator: nn.Module, batch: Batch) -> Tensor:
        """Judge output and ground truth for both sides."""
        output = batch.output.detach().requires_grad_()
        # Apart: in one pass, the generator's gradient would be carried through the real ones, too.
        real, fake = discriminator(batch.gt).float(), discriminator(output).float()
        value = generator_loss(self.loss, real.detach(), fake)
        (gradient,) = torch.autograd.grad(value, output, retain_graph=True)
        # At once, so that the pass is forgotten before the next term's.
        loss, log = losses_of(self.loss, real, fake)
        self.learnt = log, loss.detach()
        weights = [p for p in discriminator.parameters() if p.requires_grad]
        (loss / self.parts).backward(inputs=weights)
        return KnownGradient.apply(batch.output, value.detach(), gradient)


class KnownGradient(torch.autograd.Function):
    """A value whose gradient to the output is known already."""

    @staticmethod
    def forward(context: Any, output: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        """Return the value."""
        context.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(context: Any, factor: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient."""
        return factor * context.saved_tensors[0], None, None


def generator_loss(loss: nn.Module, real: Tensor | None, fake: Tensor) -> Tensor:
    """Evaluate the generator's side on logits; only `RelativisticGANLoss` needs the real ones."""
    if not isinstance(loss, RelativisticGANLoss):
        return loss(fake, True, is_disc=False)
    swapped = loss(real - fake.mean(), False, is_disc=False)
    return (swapped + loss(fake - real.mean(), True, is_disc=False)) / 2


def has_batch_statistics(network: nn.Module) -> bool:
    """Tell whether what a network makes of an image depends on the others of the batch."""
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def judge(discriminator: nn.Module, gt: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of real and restored images, from one pass if that mixes no statistics."""
    if has_batch_statistics(discriminator):
        real, fake = discriminator(gt), discriminator(output)
    else:
        real, fake = discriminator(torch.cat([gt, output])).chunk(2)
    return real.float(), fake.float()


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
    return losses_of(loss, *judge(discriminator, gt, output))


def losses_of(loss: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Evaluate the discriminator's side on logits; see `discriminator_loss`."""
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
