"""A run that is resumed on a device: bit-identical to one that went through."""

import copy
import warnings

import pytest
import torch

from iqasr.runtime.weights import load_file

pytestmark = pytest.mark.cuda


@pytest.fixture
def repeatable():
    """Let torch choose repeatable algorithms; yields the warnings of what has none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings('always', message='.*deterministic.*')
        torch.use_deterministic_algorithms(True, warn_only=True)
        yield caught
        torch.use_deterministic_algorithms(False)


def unlike(found, expected):
    """Names of the weights that differ, with the largest difference."""
    found, expected = (
        {
            f'{net}.{key}.{name}': value
            for net, parts in files.items()
            for key, weights in parts.items()
            for name, value in weights.items()
        }
        for files in (found, expected)
    )
    assert found.keys() == expected.keys()
    return {
        name: (found[name].double() - value.double()).abs().max().item()
        for name, value in expected.items()
        if not torch.equal(found[name], value)
    }


KINDS = ['l1', 'gan', 'lora', 'online', 'pool']


@pytest.mark.parametrize(
    ('kind', 'amp'), [*((kind, 'none') for kind in KINDS), ('l1', 'bf16'), ('gan', 'bf16')]
)
def test_a_resumed_run_is_bit_identical(
    kind, amp, options_of, build, batches_of, iterate, device, repeatable
):
    options = options_of(kind)
    options['train']['amp'] = amp
    # A GPU adds up its gradient, through a bicubic reduction, in any order.
    options['train'].pop('consistency_opt', None)
    batches = batches_of(options, 6)
    whole = build(options, device)
    iterate(whole, batches)
    expected = copy.deepcopy(whole.step.network_files())

    first = build(options, device)
    iterate(first, batches[:3])
    first.save(0, 3)
    state = first.checkpoints.state_file(3)
    resumed = build(options, device, resume_state=state)
    resumed.resume_training(load_file(state))
    iterate(resumed, batches[3:], first=4)
    found = unlike(resumed.step.network_files(), expected)
    said = {str(w.message).split('.')[0] for w in repeatable if 'determin' in str(w.message)}
    assert not found, f'{found} differ; torch has warned of: {sorted(said)}'
