"""Training in bf16, on the CPU: which parts compute in it, and which stay in float32."""

import pytest
import torch
from models.kinds import KINDS, random_batch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from iqasr.checking.check import load_options
from iqasr.losses import QualityLoss
from iqasr.models import RestorationModel
from iqasr.runtime.distributed import Process
from iqasr.training.opt import opt_of

pytestmark = pytest.mark.filterwarnings('ignore:Detected call of .lr_scheduler.step')


class Precisions(TorchDispatchMode):
    """Collects the types of the floating-point results."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.found |= {leaf.dtype for leaf in leaves if leaf.is_floating_point()}
        return result


def watch(module):
    """Collect the types in the forward passes of a module."""
    seen, forward = Precisions(), module.forward

    def watched(*args, **how):
        with seen:
            return forward(*args, **how)

    module.forward = watched
    return seen


PERCEPTUAL = {'perceptual': {'perceptual'}, 'distance of textures': {'base'}}
"""By kind of run, the terms that compute features by a network that may do so in bf16."""


@pytest.mark.parametrize('kind', KINDS)
def test_networks_compute_in_bf16_and_scores_in_float32(kind, options_of, tmp_path):
    options = load_options(options_of(kind), ['train:amp=bf16'])
    root = tmp_path / 'experiments/tiny'
    model = RestorationModel(opt_of(options, Process(), root, seed=0, is_train=True))
    networks = [watch(network) for network in model.step.networks().values()]
    losses = {name: term.loss for name, term in model.step.objective.terms.items()}
    terms = {name: watch(loss) for name, loss in losses.items()}
    choice = model.preparation.choice
    judges = [loss.scorer for loss in losses.values() if isinstance(loss, QualityLoss)]
    judges += [choice.scorer] if choice is not None and choice.scorer is not None else []
    scorers = [watch(scorer) for scorer in judges]
    for iteration in (2, 3):  # in the first, terms look at what the network makes of noise
        model.update_learning_rate(iteration)
        for part in range(options.train.accumulate):
            model.feed_data(random_batch(options, place=4 * iteration + 2 * part))
        model.optimize_parameters(iteration)
        assert all(v.isfinite() and v.dtype == torch.float32 for v in model.log_dict.values())
    assert model.is_finite()
    assert all(torch.bfloat16 in seen.found for seen in networks)
    in_bf16 = {name for name, seen in terms.items() if torch.bfloat16 in seen.found}
    assert in_bf16 == PERCEPTUAL.get(kind, set())
    assert all(torch.float32 in seen.found for seen in scorers)
    assert all(torch.bfloat16 not in seen.found for seen in scorers)
    weights = [p for network in model.step.networks().values() for p in network.parameters()]
    states = tree_leaves([list(o.state.values()) for o in model.optimizers])
    kept = weights + [state for state in states if isinstance(state, torch.Tensor)]
    assert {tensor.dtype for tensor in kept} == {torch.float32}
