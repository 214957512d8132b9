"""Pictures of a test set: views of each image for a page, and a grid of crops."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from iqasr.data.files.image_files import decode_rgb
from iqasr.data.files.photographs import detail_of, detailed_places
from iqasr.evaluation.result_folder import ResultFolder, common_test_sets
from iqasr.runtime.crops import Place, crop_grid, cut_square
from iqasr.runtime.errors import DataError

LOSSLESS = 100
"""Quality at which pictures are PNG instead of JPEG."""


@dataclass(frozen=True)
class PictureSize:
    """Size of the pictures in a page.

    Args:
        crop_px: Side of a crop, >= 0; 0 embeds no crops.
        whole_px: Longer side to which the whole image is reduced, >= 0; 0 embeds none.
        quality: Quality of JPEG, 1 to 100, without chroma subsampling; 100 embeds lossless PNG.

    Raises:
        ValueError: If a number is out of range.
    """

    crop_px: int = 160
    whole_px: int = 320
    quality: int = 92

    def __post_init__(self) -> None:
        if min(self.crop_px, self.whole_px) < 0 or not 1 <= self.quality <= LOSSLESS:
            raise ValueError('Sizes of pictures must be at least 0, their quality 1 to 100.')


def find_missing_pictures(results: Sequence[ResultFolder], dataset: str) -> list[str]:
    """List missing images: restored ones, and recorded ones of the test set."""
    problems = []
    for r in results:
        files = r.sets[dataset]['files']
        names = [name for name in files if not r.find_file(dataset, name, 'output')]
        if names:
            problems.append(
                f'{r.folder}: {len(names)} restored images of {dataset} are missing, such as '
                f'{names[0]}. Test with val.save_img: true to see them.'
            )
    first = results[0]
    for name, files in first.sets[dataset]['files'].items():
        recorded = [kind for kind in ('gt', 'lq') if kind in files]
        missing = [files[k] for k in recorded if not first.find_file(dataset, name, k)]
        if missing:
            problems.append(f'{missing[0]}: is missing. Put {dataset} back where it was tested.')
            break
    return problems


def read_versions(
    results: Sequence[ResultFolder], dataset: str, name: str
) -> dict[int, np.ndarray]:
    """Read all existing versions of an image.

    Returns:
        ``(H, W, 3)`` uint8 BGR of one size, by number: the restored image by the index of the run,
        then the ground truth, then the input, enlarged without smoothing.

    Raises:
        DataError: If their sizes do not match.
    """
    files = [r.find_file(dataset, name, 'output') for r in results]
    versions = {run: read_bgr(file) for run, file in enumerate(files) if file}
    sizes = {results[run].name: image.shape[1::-1] for run, image in versions.items()}
    if len(set(sizes.values())) > 1:
        texts = ', '.join(f'{w} x {h} in {run}' for run, (w, h) in sizes.items())
        raise DataError(f'{dataset}, image {name}: is {texts}. Compare runs of the same test set.')
    if not versions:
        return {}
    width, height = next(iter(sizes.values()))
    gt, lq = (results[0].find_file(dataset, name, what) for what in ('gt', 'lq'))
    if gt:
        versions[len(results)] = read_bgr(gt)[:height, :width]  # BasicSR cuts to whole LQ pixels
        if versions[len(results)].shape[1::-1] != (width, height):
            raise DataError(
                f'{gt}: is smaller than what {", ".join(sizes)} made, {width} x {height}.'
            )
    if lq:
        size, nearest = (width, height), cv2.INTER_NEAREST
        versions[len(results) + 1] = cv2.resize(read_bgr(lq), size, interpolation=nearest)
    return versions


def read_bgr(path: Path) -> np.ndarray:
    """Read an image, ``(H, W, 3)`` uint8 BGR.

    Raises:
        DataError: If it cannot be read.
    """
    return decode_rgb(path.read_bytes(), str(path))[..., ::-1].copy()


def cut_views(
    versions: dict[int, np.ndarray], runs: int, size: PictureSize
) -> dict[str, dict[int, str]]:
    """Cut the pieces of an image for a page.

    Args:
        versions: As from `read_versions`.
        runs: Number of runs.
        size: Size of the pieces.

    Returns:
        By the description of a piece: the same piece of every version, as data URI.
    """
    outputs = [image for version, image in versions.items() if version < runs]
    if not outputs:
        return {}
    views = {}
    height, width = outputs[0].shape[:2]
    places = choose_places(outputs, versions.get(runs, outputs[0]), size.crop_px)
    for reason, (y, x) in places.items():
        crops = {v: cut_square(image, (y, x), size.crop_px) for v, image in versions.items()}
        h, w = cut_square(outputs[0], (y, x), size.crop_px).shape[:2]
        views[f'{reason}: {w} x {h} px at ({x}, {y})'] = crops
    if size.whole_px:
        reduction = max(1, max(height, width) / size.whole_px)
        target = (max(1, round(width / reduction)), max(1, round(height / reduction)))
        remark = f', reduced {reduction:.1f} times' if reduction > 1 else ''
        views[f'whole: {width} x {height} px{remark}'] = {
            v: cv2.resize(i, target, interpolation=cv2.INTER_AREA) for v, i in versions.items()
        }
    return {
        label: {v: data_uri(image, size.quality) for v, image in pieces.items()}
        for label, pieces in views.items()
    }


def choose_places(
    outputs: Sequence[np.ndarray], detailed: np.ndarray, crop_px: int
) -> dict[str, Place]:
    """Choose the crops of an image: the most different one, and the most detailed one beside it."""
    if not crop_px:
        return {}
    places = {}
    if len(outputs) > 1:
        places['most different'] = most_different_place(outputs, crop_px)
    for y, x in detailed_places(detailed[..., ::-1], crop_px, 5):
        if all(abs(y - b) >= crop_px or abs(x - a) >= crop_px for b, a in places.values()):
            places['most detailed'] = (y, x)
            break
    return places


def most_different_place(images: Sequence[np.ndarray], crop_px: int) -> Place:
    """Find the square in which images vary most, by the standard deviation in each pixel."""
    variation = np.std(np.stack(images).astype(np.float32), axis=0).mean(2)
    height, width = variation.shape
    h, w = min(crop_px, height), min(crop_px, width)
    sums = cv2.integral(variation)
    inside = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    y, x = np.unravel_index(np.argmax(inside), inside.shape)
    return int(y), int(x)


def data_uri(image: np.ndarray, quality: int) -> str:
    """Encode an image, ``(H, W, 3)`` uint8 BGR, as a data URI."""
    kind = 'png' if quality == LOSSLESS else 'jpeg'
    target = io.BytesIO()
    settings = {} if kind == 'png' else {'quality': quality, 'subsampling': 0}
    Image.fromarray(np.ascontiguousarray(image[..., ::-1])).save(
        target, kind, optimize=True, **settings
    )
    return f'data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode()}'


def picture_grid(
    results: Sequence[ResultFolder], crop_px: int = 128, zoom: int = 2, per_image: int = 2
) -> np.ndarray:
    """Show the most detailed crops of every test image, one column per network.

    Args:
        results: Result folders with saved images (``val.save_img: true``).
        crop_px: Side of a crop, in pixels of the ground truth.
        zoom: Enlargement of the crops, without smoothing.
        per_image: Crops of each image.

    Returns:
        The grid, ``(H, W, 3)`` uint8 BGR, with a label above each column; the last one is the
        ground truth, if there is any.
    """
    rows: list[dict[int, np.ndarray]] = []
    for dataset in common_test_sets(results):
        for name in results[0].sets[dataset]['files']:
            versions = read_versions(results, dataset, name)
            versions.pop(len(results) + 1, None)  # the input
            reference = versions[max(versions)][..., ::-1]
            for place in detailed_places(reference, crop_px, per_image):
                rows.append({v: cut_square(image, place, crop_px) for v, image in versions.items()})
    labels = dict(enumerate([*(r.name for r in results), 'ground truth']))
    shown = sorted({version for row in rows for version in row})
    white = np.full((1, 1, 3), 255, np.uint8)
    lines = [[row.get(version, white) for version in shown] for row in rows]
    return crop_grid(lines, [labels[version] for version in shown], crop_px, zoom)


def picture_rows(
    rows: Sequence[Sequence[str]],
    results: Mapping[str, ResultFolder],
    *,
    dataset: str | None = None,
    crop_px: int = 104,
    zoom: int = 3,
    photographs: int = 3,
) -> np.ndarray:
    """Show a crop of the most detailed test images by many networks, in several rows each.

    Args:
        rows: Names in each row. One without results leaves its place white; the ground truth, if
            there is any, follows the first row.
        results: By name, with saved images.
        dataset: Test set of the images; default the only one that all have in common.
        crop_px: Side of the crops, the most detailed ones, in pixels of the ground truth.
        zoom: Enlargement, without smoothing.
        photographs: How many test images, one below the other.

    Returns:
        ``(H, W, 3)`` uint8 BGR, with a label above each crop.
    """
    first, *others = rows
    rows = [[*first, 'ground truth'], *others]
    width = max(map(len, rows))
    found = list(results.values())
    if dataset is None:
        (dataset,) = common_test_sets(found)
    crops = []
    for name in found[0].sets[dataset]['files']:
        versions = read_versions(found, dataset, name)
        reference = versions.get(len(found), versions[0])
        (place,) = detailed_places(reference[..., ::-1], crop_px, 1)
        labels = [*results, 'ground truth']
        cut = {
            labels[i]: cut_square(versions[i], place, crop_px) for i in versions if i < len(labels)
        }
        crops.append((detail_of(cut_square(reference, place, crop_px)[..., ::-1]), cut))
    crops.sort(key=lambda crop: crop[0], reverse=True)
    white = np.full((crop_px, crop_px, 3), 255, np.uint8)
    grids = []
    for _, cut in crops[:photographs]:
        for labels in rows:
            labels = [*labels, *[''] * (width - len(labels))]
            grids.append(crop_grid([[cut.get(x, white) for x in labels]], labels, crop_px, zoom))
    return np.vstack(grids)
