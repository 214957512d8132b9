"""What a study compares: the images of several methods, from result folders or plain folders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iqasr.data.files.image_files import decode_rgb, image_names
from iqasr.data.files.inspection import in_px, size_of_file
from iqasr.report.results import read_results
from iqasr.runtime.errors import DataError


@dataclass(frozen=True)
class Method:
    """The images of one method, as paths by source: the name of the image they restore."""

    name: str
    images: dict[str, str]
    references: dict[str, str]
    """The same for the ground truths, as far as there are any."""


def read_methods(folders: Sequence[str], references: str | None = None) -> list[Method]:
    """List the images of every method.

    Args:
        folders: Result folders of the test script, or else folders of images with equal names
            (suffixes may differ); each is a method.
        references: Folder of ground truths, for what comes without.

    Returns:
        The methods. All have the same sources, and the images of a source one size.

    Raises:
        DataError: If there are fewer than two, an image is missing or broken, or sizes differ.
    """
    methods = [read_method(folder) for folder in folders]
    if references is not None:
        paths = images_in(references)
        methods = [Method(m.name, m.images, paths | m.references) for m in methods]
    names = [method.name for method in methods]
    problems = [
        f'{folder}: is called {name}, as another method. Rename one.'
        for i, (folder, name) in enumerate(zip(folders, names, strict=True))
        if name in names[:i]
    ]
    if len(folders) < 2:
        problems.append(f'{", ".join(folders)}: a study compares two methods at least.')
    problems += missing_images(methods)
    if not problems:
        for source in methods[0].images:
            problems += unequal_sizes(methods, source)
    if problems:
        raise DataError(problems)
    return methods


def read_method(folder: str) -> Method:
    """List the images of a result folder or of a plain folder."""
    if not (Path(folder) / 'summary.json').is_file():
        return Method(Path(folder).resolve().name, images_in(folder), {})
    results = read_results(folder)
    found: dict[str, dict[str, str]] = {'output': {}, 'gt': {}}
    for dataset, content in results.sets.items():
        for name, files in content['files'].items():
            for kind, paths in found.items():
                if kind in files:
                    paths[f'{dataset}/{name}'] = files[kind]
    if not found['output']:
        raise DataError(f'{folder}: no image was saved. Test again with val.save_img: true.')
    return Method(results.name, found['output'], found['gt'])


def images_in(folder: str) -> dict[str, str]:
    """List the images of a folder, by name without suffix."""
    if not os.path.isdir(folder):
        raise DataError(f'{folder}: there is no such folder.')
    paths = {Path(name).stem: os.path.join(folder, name) for name in image_names(folder)}
    if not paths:
        raise DataError(f'{folder}: holds no images, and no summary.json of iqasr/test.py.')
    return paths


def missing_images(methods: Sequence[Method]) -> list[str]:
    """Name the images that one method has and another lacks."""
    everything = list(dict.fromkeys(source for m in methods for source in m.images))
    return [
        f'{method.name}: has no image {source}. Restore it, or remove it from the other methods.'
        for method in methods
        for source in everything
        if source not in method.images
    ]


def unequal_sizes(methods: Sequence[Method], source: str) -> list[str]:
    """Name what cannot be read of a source, or differs in size from the first method."""
    problems: list[str] = []
    paths = [method.images[source] for method in methods]
    paths += [m.references[source] for m in methods[:1] if source in m.references]
    sizes = {path: size_of(path, problems) for path in paths}
    expected = sizes[paths[0]]
    return problems + [
        f'{path}: {in_px(size)}, but {paths[0]} is {in_px(expected)}. Compare images of one size.'
        for path, size in sizes.items()
        if size and expected and size != expected
    ]


def size_of(path: str, problems: list[str]) -> tuple[int, int] | None:
    """Look up the size of an image; None, and one more problem, if it cannot be read."""
    if not os.path.isfile(path):
        problems.append(f'{path}: there is no such file.')
        return None
    return size_of_file(path, problems, allow_grey=True)


def read_image(path: str) -> np.ndarray:
    """Read an image, ``(H, W, 3)`` uint8 RGB.

    Raises:
        DataError: If it is broken.
    """
    try:
        return decode_rgb(Path(path).read_bytes(), path)
    except ValueError as error:
        raise DataError(str(error)) from error
