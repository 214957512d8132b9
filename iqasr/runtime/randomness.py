"""Random generators as a function of place.

Nothing in iqasr draws from a global generator. A draw belongs to a *place*, such as
``(seed, 'augment', epoch, position)``, and its generator is made there. Results therefore do not
depend on the number of workers, every epoch sees fresh draws, and resuming a run needs no saved
generator state.
"""

import hashlib

import torch


def seed_of(*place: int | str) -> int:
    """Hash a place to a seed.

    Args:
        place: Integers and words naming the place, outermost first.

    Returns:
        A seed in [0, 2**63), the same on every machine and in every process.

    Example:
        >>> seed_of(0, 'augment', 3) == seed_of(0, 'augment', 3)
        True
        >>> seed_of(0, 'augment', 3) == seed_of(0, 'augment', 4)
        False
    """
    digest = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
    return int.from_bytes(digest, 'little') >> 1


def generator_at(*place: int | str) -> torch.Generator:
    """Make the CPU generator of a place.

    Args:
        place: As in `seed_of`.

    Returns:
        A fresh CPU generator; two calls with the same place give the same draws.
    """
    return torch.Generator().manual_seed(seed_of(*place))


def fork(generator: torch.Generator, device: torch.device | str) -> torch.Generator:
    """Make a generator on a device, seeded by one draw from a CPU generator.

    Scalars are drawn on the CPU (reading them back from a device would wait for it), fields of
    noise on the device.

    Args:
        generator: CPU generator; advanced by one draw.
        device: Device of the new generator.

    Returns:
        A generator on `device`.
    """
    seed = torch.randint(2**62, (), generator=generator).item()
    return torch.Generator(device).manual_seed(int(seed))
