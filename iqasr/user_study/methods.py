"""The methods that a study compares: their images, from result folders or plain folders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iqasr.data.files.image_files import image_names
from iqasr.data.files.inspection import in_px, inspect_each
from iqasr.data.files.readers import FileReader
from iqasr.evaluation.result_folder import read_result_folder
from iqasr.runtime.errors import DataError


@dataclass(frozen=True)
class Method:
    """The images of one method: paths by source, the name of the image that is restored."""

    name: str
    images: dict[str, str]
    references: dict[str, str]
    """Paths of the ground truths by source, where there are any."""


def read_methods(
    folders: Sequence[str], references: str | None = None, dataset: str | None = None
) -> list[Method]:
    """List the images of every method.

    Args:
        folders: One folder per method: result folders of iqasr/test.py, or folders of images with
            equal names (suffixes may differ).
        references: Folder of ground truths, for methods without them.
        dataset: The only test set to take from result folders; default all.

    Returns:
        The methods. All have the same sources, and all images of a source have the same size.

    Raises:
        DataError: If there are fewer than two, an image is missing or damaged, or sizes differ.
    """
    methods = [read_method(folder, dataset) for folder in folders]
    if references is not None:
        paths = list_images(references)
        methods = [Method(m.name, m.images, paths | m.references) for m in methods]
    names = [method.name for method in methods]
    problems = [
        f'{folder}: is called {name}, as another method. Rename one.'
        for i, (folder, name) in enumerate(zip(folders, names, strict=True))
        if name in names[:i]
    ]
    if len(folders) < 2:
        problems.append(f'{", ".join(folders)}: a study compares two methods at least.')
    problems += find_missing_images(methods)
    if not problems:
        for source in methods[0].images:
            problems += find_unequal_sizes(methods, source)
    if problems:
        raise DataError(problems)
    return methods


def read_method(folder: str, only: str | None = None) -> Method:
    """List the images of a result folder, of one test set or all, or of a plain folder."""
    if not (Path(folder) / 'summary.json').is_file():
        return Method(Path(folder).resolve().name, list_images(folder), {})
    results = read_result_folder(folder)
    outputs, references = (
        {
            f'{dataset}/{name}': files[kind]
            for dataset, content in results.sets.items()
            if only in (None, dataset)
            for name, files in content['files'].items()
            if kind in files
        }
        for kind in ('output', 'gt')
    )
    if not outputs:
        where = '' if only is None else f' of {only}'
        raise DataError(f'{folder}: no image{where} was saved. Test with val.save_img: true.')
    return Method(results.name, outputs, references)


def list_images(folder: str) -> dict[str, str]:
    """List the images of a folder, by name without suffix."""
    if not os.path.isdir(folder):
        raise DataError(f'{folder}: there is no such folder.')
    paths = {Path(name).stem: os.path.join(folder, name) for name in image_names(folder)}
    if not paths:
        raise DataError(f'{folder}: holds no images, and no summary.json of iqasr/test.py.')
    return paths


def find_missing_images(methods: Sequence[Method]) -> list[str]:
    """List the images that are missing from a method."""
    everything = list(dict.fromkeys(source for m in methods for source in m.images))
    return [
        f'{method.name}: has no image {source}. Restore it, or remove it from the other methods.'
        for method in methods
        for source in everything
        if source not in method.images
    ]


def find_unequal_sizes(methods: Sequence[Method], source: str) -> list[str]:
    """List the images of a source that cannot be read or differ in size from the first."""
    paths = [method.images[source] for method in methods]
    paths += [m.references[source] for m in methods[:1] if source in m.references]
    problems = [f'{path}: there is no such file.' for path in paths if not os.path.isfile(path)]
    sizes = inspect_each(FileReader(allow_grey=True), filter(os.path.isfile, paths), problems)
    expected = sizes.get(paths[0])
    return problems + [
        f'{path}: {in_px(size)}, but {paths[0]} is {in_px(expected)}. Compare images of one size.'
        for path, size in sizes.items()
        if expected and size != expected
    ]
