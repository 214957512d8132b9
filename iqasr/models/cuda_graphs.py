"""Passes of networks as CUDA graphs: each launched as a whole, however slow the host is.

A step of RRDB-23 launches some 3,000 operations. Where the host needs longer to launch them than
the GPU to compute them, the GPU waits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

WARM_UPS = 3
"""Calls before a capture, in which libraries choose their algorithms."""


class CapturedNetwork(nn.Module):
    """Calls a network by graphs of its forward and backward pass; its weights stay its own.

    The output of a call, and the gradients of the weights, lie where those of the call before lay:
    use one output, and back-propagate it once, before the next call. Images of another size, and a
    network in evaluation mode, are computed without graphs.

    Args:
        network: On a GPU, in training mode; its buffers are left as they are.
        sample: Images like those that it will be called with, :math:`(N, 3, H, W)`.
        autocast: Context that it is called in.

    Raises:
        RuntimeError: If its passes cannot be captured, such as when they wait for the device.
    """

    def __init__(
        self, network: nn.Module, sample: Tensor, autocast: Callable[..., AbstractContextManager]
    ) -> None:
        super().__init__()
        self.network, self.shape = network, sample.shape
        # What autocast remembers of weights would be that of the capture.
        with kept_buffers(network), autocast(cache_enabled=False):
            self.graphs = torch.cuda.make_graphed_callables(
                Pass(network), (sample,), allow_unused_input=True
            )

    def forward(self, image: Tensor) -> Tensor:
        """Compute what the network does."""
        captured = image.shape == self.shape and self.network.training
        return (self.graphs if captured else self.network)(image)


class Pass(nn.Module):
    """A module whose ``forward`` may be replaced without replacing that of the network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Any:
        """Call the network."""
        return self.network(image)


class CapturedFunction:
    """Calls a function of tensors, which back-propagates to the weights of a network, by a graph.

    What a call returns, and the gradients, lie where those of the call before lay.

    Args:
        function: Returns tensors in any structure. It depends on nothing else that changes but the
            state of the network.
        samples: Tensors like those that it will be called with.
        network: On a GPU; gradients of its weights are set by every call. Its buffers are left as
            they are.

    Raises:
        RuntimeError: If it cannot be captured.
    """

    def __init__(
        self, function: Callable[..., Any], samples: Sequence[Tensor], network: nn.Module
    ) -> None:
        self.inputs = [sample.detach().clone() for sample in samples]
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]
        with kept_buffers(network):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    function(*self.inputs)
                    network.zero_grad(set_to_none=True)
            torch.cuda.current_stream().wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.outputs = function(*self.inputs)
        self.gradients = [weight.grad for weight in self.weights]
        network.zero_grad(set_to_none=True)

    def fits(self, *inputs: Tensor) -> bool:
        """Tell whether tensors have the sizes of the samples."""
        return all(a.shape == b.shape for a, b in zip(self.inputs, inputs, strict=True))

    def __call__(self, *inputs: Tensor) -> Any:
        """Compute what the function does, for tensors of the sizes of the samples."""
        with torch.no_grad():
            torch._foreach_copy_(self.inputs, list(inputs))
        self.graph.replay()
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            weight.grad = gradient
        return self.outputs


@contextmanager
def kept_buffers(network: nn.Module) -> Iterator[None]:
    """Leave the buffers of a network as they are, whatever passes do to them."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(before[name])
