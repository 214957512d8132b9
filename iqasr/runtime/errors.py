"""Errors that a user can mend: the message says what is wrong and what to do."""

from collections.abc import Sequence

MOST_PROBLEMS_SHOWN = 10


class InputError(Exception):
    """Options, data, weights or the environment cannot be used as they are."""


class OptionError(InputError, ValueError):
    """An option file that cannot be used; the message lists every problem."""


class CheckpointError(InputError, RuntimeError):
    """A checkpoint that cannot be written or read."""


class StorageError(CheckpointError):
    """A file cannot be written, or what the run itself has saved cannot be read again."""


class MissingWeightsError(InputError, RuntimeError):
    """Weights are neither here nor can they be fetched."""


class DataError(InputError, ValueError):
    """Everything that is wrong with the data, at once.

    Args:
        problems: One sentence per problem, naming the file and the remedy; or one finished message.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        shown = self.problems[:MOST_PROBLEMS_SHOWN]
        if len(self.problems) > 1:
            shown = [f'{len(self.problems)} problems in the data:', *shown]
        if len(self.problems) > MOST_PROBLEMS_SHOWN:
            shown.append(f'... and {len(self.problems) - MOST_PROBLEMS_SHOWN} more.')
        super().__init__('\n'.join(shown))
