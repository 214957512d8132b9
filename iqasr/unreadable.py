"""Why a file of weights cannot be read, in words that say what to do."""

import zipfile
from pathlib import Path

ZIP, PICKLE = b'PK', b'\x80'
"""How files of torch begin: at present, and before version 1.6."""


def why_unreadable(path: Path, error: Exception) -> str:
    """Tell from its bytes what is wrong with a file.

    Args:
        path: ``.pth``, ``.state`` or ``.safetensors``.
        error: What its reader said.
    """
    with path.open('rb') as file:
        start = file.read(16)
    again = 'Copy or download it again.'
    if not start:
        return f'It is empty. {again}'
    if path.suffix == '.safetensors':
        return f'It is damaged: {error}. {again}'
    if start.startswith(ZIP) and not zipfile.is_zipfile(path):
        return f'It is cut short. {again}'
    if not start.startswith((ZIP, PICKLE)):
        return f'It is no checkpoint, as it begins with {start!r}. {again}'
    return (
        'It is damaged, or holds more than tensors and numbers; in that case load it once where '
        'you trust it and save its state dict.'
    )
