"""Pictures of a test set as a page embeds them: of each image two crops, and a reduced whole."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from iqasr.data.files.photographs import detailed_places
from iqasr.report.results import Results
from iqasr.runtime.errors import DataError

LOSSLESS = 100

Place = tuple[int, int]
"""Top and left of a crop, in pixels of the output."""


@dataclass(frozen=True)
class PictureSize:
    """How much of each image a page holds.

    Args:
        crop_px: Side of a crop; 0 embeds no crops.
        whole_px: Longer side of the whole image, which is reduced to it; 0 embeds none.
        quality: Of JPEG, without chroma subsampling; 100 embeds PNG, which loses nothing.

    Raises:
        ValueError: If a number is out of range.
    """

    crop_px: int = 160
    whole_px: int = 320
    quality: int = 92

    def __post_init__(self) -> None:
        if min(self.crop_px, self.whole_px) < 0 or not 1 <= self.quality <= LOSSLESS:
            raise ValueError('Sizes of pictures must be at least 0, their quality 1 to 100.')


@dataclass(frozen=True)
class View:
    """The same piece of an image in every version.

    Args:
        label: Which piece it is.
        pictures: Data URI by version, see `versions_of`.
    """

    label: str
    pictures: dict[int, str]


def missing_pictures(results: Sequence[Results], dataset: str) -> list[str]:
    """Say which images are not there: restored ones, and those of the test set that are named."""
    problems = []
    for r in results:
        names = [name for name in r.sets[dataset]['files'] if not r.file(dataset, name, 'output')]
        if names:
            problems.append(
                f'{r.folder}: {len(names)} restored images of {dataset} are not there, such as '
                f'{names[0]}. Test with val.save_img: true to see them.'
            )
    first = results[0]
    for name, named in first.sets[dataset]['files'].items():
        gone = [named[w] for w in ('gt', 'lq') if w in named and not first.file(dataset, name, w)]
        if gone:
            problems.append(f'{gone[0]}: is not there. Put {dataset} back where it was tested.')
            break
    return problems


def versions_of(results: Sequence[Results], dataset: str, name: str) -> dict[int, np.ndarray]:
    """Read an image in all versions.

    Returns:
        ``(H, W, 3)`` uint8 BGR of one size, as far as they are there: by the index of the run;
        then, at the next two numbers, the ground truth and the input, enlarged without smoothing.

    Raises:
        DataError: If their sizes contradict each other.
    """
    files = [r.file(dataset, name, 'output') for r in results]
    versions = {run: read(file) for run, file in enumerate(files) if file}
    sizes = {results[run].name: image.shape[1::-1] for run, image in versions.items()}
    if len(set(sizes.values())) > 1:
        texts = ', '.join(f'{w} x {h} in {run}' for run, (w, h) in sizes.items())
        raise DataError(f'{dataset}, image {name}: is {texts}. Compare runs of the same test set.')
    if not versions:
        return {}
    width, height = next(iter(sizes.values()))
    gt, lq = (results[0].file(dataset, name, what) for what in ('gt', 'lq'))
    if gt:
        versions[len(results)] = read(gt)[:height, :width]  # BasicSR cuts to whole LQ pixels
        if versions[len(results)].shape[1::-1] != (width, height):
            raise DataError(
                f'{gt}: is smaller than what {", ".join(sizes)} made, {width} x {height}.'
            )
    if lq:
        size, nearest = (width, height), cv2.INTER_NEAREST
        versions[len(results) + 1] = cv2.resize(read(lq), size, interpolation=nearest)
    return versions


def read(path: Path) -> np.ndarray:
    """Read an image as uint8 BGR.

    Raises:
        DataError: If it is none.
    """
    image = cv2.imread(str(path))
    if image is None:
        raise DataError(f'{path}: is no image that can be read. Test again.')
    return image


def views(versions: dict[int, np.ndarray], runs: int, size: PictureSize) -> Iterator[View]:
    """Cut the pieces of an image that a page shows.

    Args:
        versions: As `versions_of` returns them.
        runs: Number of runs.
        size: How large the pieces are.
    """
    outputs = [image for version, image in versions.items() if version < runs]
    if not outputs:
        return
    height, width = outputs[0].shape[:2]
    places = places_of(outputs, versions.get(runs, outputs[0]), size.crop_px)
    for what, (y, x) in places.items():
        h, w = min(size.crop_px, height - y), min(size.crop_px, width - x)
        crops = {version: image[y : y + h, x : x + w] for version, image in versions.items()}
        yield View(f'{what}: {w} x {h} px at ({x}, {y})', embedded(crops, size.quality))
    if size.whole_px:
        reduction = max(1, max(height, width) / size.whole_px)
        target = (max(1, round(width / reduction)), max(1, round(height / reduction)))
        reduced = {
            v: cv2.resize(i, target, interpolation=cv2.INTER_AREA) for v, i in versions.items()
        }
        remark = f', reduced {reduction:.1f} times' if reduction > 1 else ''
        yield View(f'whole: {width} x {height} px{remark}', embedded(reduced, size.quality))


def places_of(
    outputs: Sequence[np.ndarray], detailed: np.ndarray, crop_px: int
) -> dict[str, Place]:
    """Choose the crops of an image: where runs differ most, and another with the most detail."""
    if not crop_px:
        return {}
    places = {}
    if len(outputs) > 1:
        places['most different'] = most_different_place(outputs, crop_px)
    for y, x in detailed_places(detailed, crop_px, 5):
        if all(abs(y - b) >= crop_px or abs(x - a) >= crop_px for b, a in places.values()):
            places['most detailed'] = (y, x)
            break
    return places


def most_different_place(images: Sequence[np.ndarray], crop_px: int) -> Place:
    """Find the square in which images vary most, by their standard deviation in each pixel."""
    variation = np.std(np.stack(images).astype(np.float32), axis=0).mean(2)
    height, width = variation.shape
    h, w = min(crop_px, height), min(crop_px, width)
    sums = cv2.integral(variation)
    inside = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    y, x = np.unravel_index(np.argmax(inside), inside.shape)
    return int(y), int(x)


def embedded(images: dict[int, np.ndarray], quality: int) -> dict[int, str]:
    """Encode images (uint8 BGR) as data URIs."""
    return {version: data_uri(image, quality) for version, image in images.items()}


def data_uri(image: np.ndarray, quality: int) -> str:
    """Encode an image, ``(H, W, 3)`` uint8 BGR."""
    kind = 'png' if quality == LOSSLESS else 'jpeg'
    target = io.BytesIO()
    settings = {} if kind == 'png' else {'quality': quality, 'subsampling': 0}
    Image.fromarray(np.ascontiguousarray(image[..., ::-1])).save(
        target, kind, optimize=True, **settings
    )
    return f'data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode()}'
