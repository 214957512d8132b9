"""Design of a study, and the files made from it: crops, the page of the raters, the manifest."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import jinja2
import numpy as np
from tqdm import tqdm

from iqasr.data.files.image_files import content_hash
from iqasr.data.files.photographs import detailed_places
from iqasr.data.files.readers import FileReader
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.crops import cut_square
from iqasr.runtime.errors import DataError
from iqasr.user_study.manifest import Catch, Item, Manifest, key_of, read_manifest, serving_order
from iqasr.user_study.methods import Method, read_methods

CATCH_BLUR_PX = 4.0
"""Standard deviation of the blur in catch trials, which nobody who looks can prefer."""


@dataclass(frozen=True)
class Design:
    """Design of a study.

    Args:
        crop_px: Side of the crops, in pixels, >= 16; the most detailed square of each image.
        images: Number of images, spread over all, >= 1; None uses all.
        per_rater: Pairs shown to a rater, >= 1; the next rater continues where this one ends.
        catch: Additional pairs with a known answer (an image and its blurred version), >= 0.
        repeats: Pairs asked again with the sides exchanged, >= 0.
        min_seconds: Time before an answer is accepted, >= 0.
        show_reference: Let raters look at the ground truth.
        question: The question.

    Raises:
        ValueError: If a number is too small.
    """

    crop_px: int = 320
    images: int | None = None
    per_rater: int = 30
    catch: int = 3
    repeats: int = 3
    min_seconds: float = 1.0
    show_reference: bool = False
    question: str = 'Which image looks better?'

    def __post_init__(self) -> None:
        least = {'crop_px': 16, 'images': 1, 'per_rater': 1, 'catch': 0, 'repeats': 0}
        problems = [
            f'{name}: must be at least {bound}, not {getattr(self, name)}.'
            for name, bound in (least | {'min_seconds': 0}).items()
            if getattr(self, name) is not None and getattr(self, name) < bound
        ]
        if problems:
            raise ValueError('\n'.join(problems))


def make_study(
    folders: Sequence[str],
    target: str,
    design: Design,
    references: str | None = None,
    dataset: str | None = None,
) -> Manifest:
    """Write a study: ``study.html`` for the raters, ``study.json`` and ``crops`` for the organiser.

    The same input gives the same study, so that votes stay valid.

    Args:
        folders: See `read_methods`.
        target: Folder of the study.
        design: Design of the study.
        references: Folder of ground truths, for methods without them.
        dataset: The only test set to take from result folders; default all.

    Returns:
        The content of ``study.json``.

    Raises:
        DataError: If the images do not belong together, ground truths are to be shown and missing,
            or `target` holds another study.
    """
    methods = read_methods(folders, references, dataset)
    sources = list(methods[0].images)
    count = min(design.images or len(sources), len(sources))
    sources = [sources[i * len(sources) // count] for i in range(count)]
    if design.show_reference:
        refuse_missing_references(methods[0], sources)
    blurred = [
        (sources[number % len(sources)], methods[number % len(methods)].name)
        for number in range(design.catch)
    ]
    files: dict[str, bytes] = {}
    for source in tqdm(sources, 'cutting', disable=None):
        files |= cut_crops(
            methods, source, design, {name for where, name in blurred if where == source}
        )
    manifest = build_manifest([method.name for method in methods], sources, blurred, files, design)
    root = Path(target)
    if (root / 'study.json').exists():
        held = read_manifest(root / 'study.json').study
        if held != manifest.study:
            raise DataError(f'{target}: holds study {held} already. Choose another folder.')
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    write_text_atomically(render_page(manifest, files, design), root / 'study.html')
    write_text_atomically(manifest.model_dump_json(indent=2) + '\n', root / 'study.json')
    return manifest


def refuse_missing_references(method: Method, sources: Sequence[str]) -> None:
    """Raise DataError if a source has no ground truth."""
    missing = [source for source in sources if source not in method.references]
    if missing:
        raise DataError(
            f'{", ".join(missing[:5])}: no ground truth for {len(missing)} of {len(sources)} '
            'images. Name a folder that has them, or show none.'
        )


def cut_crops(
    methods: Sequence[Method], source: str, design: Design, blurred: Collection[str]
) -> dict[str, bytes]:
    """Cut the same square out of all images of a source; `blurred` methods get a blurred one too.

    Returns:
        PNG by file name.
    """
    reader = FileReader()
    images = {method.name: reader.image(method.images[source]) for method in methods}
    path = methods[0].references.get(source)
    reference = None if path is None else reader.image(path)
    # Without a ground truth the mean decides, so that no method determines the place.
    guide = np.mean(list(images.values()), 0).astype(np.uint8) if reference is None else reference
    [place] = detailed_places(guide, design.crop_px, 1)
    files = {}
    for name, image in images.items():
        crop = cut_square(image, place, design.crop_px)
        files[file_name('crops', name, source)] = encode_png(crop)
        if name in blurred:
            crop = cv2.GaussianBlur(crop, (0, 0), CATCH_BLUR_PX)
            files[file_name('blurred', name, source)] = encode_png(crop)
    if reference is not None and design.show_reference:
        crop = cut_square(reference, place, design.crop_px)
        files[file_name('references', source)] = encode_png(crop)
    return files


def file_name(*parts: str) -> str:
    """Name the file of a crop, relative to the study."""
    return f'{"/".join(parts)}.png'


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image, ``(H, W, 3)`` uint8 RGB, as PNG."""
    return cv2.imencode('.png', image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def build_manifest(
    methods: Sequence[str],
    sources: Sequence[str],
    blurred: Sequence[tuple[str, str]],
    files: Mapping[str, bytes],
    design: Design,
) -> Manifest:
    """Give every question a key that does not reveal its content."""
    hashes = (f'{name} {content_hash(data)}' for name, data in files.items())
    study = key_of(repr(design), *methods, *hashes)
    shown = sources if design.show_reference else ()
    references = {source: file_name('references', source) for source in shown}
    items = {
        key_of(study, source, a, b): Item(
            source=source,
            a=a,
            b=b,
            image_a=file_name('crops', a, source),
            image_b=file_name('crops', b, source),
            reference=references.get(source),
        )
        for source, (a, b) in serving_order(methods, sources)
    }
    catch = {}
    for number, (source, method) in enumerate(blurred):
        key = key_of(study, 'catch', number)
        images = [file_name(folder, method, source) for folder in ('crops', 'blurred')]
        is_first = int(key, 16) % 2 == 0
        catch[key] = Catch(
            source=source,
            image_a=images[not is_first],
            image_b=images[is_first],
            reference=references.get(source),
            answer='a' if is_first else 'b',
        )
    return Manifest(study=study, methods=list(methods), items=items, catch=catch)


def render_page(manifest: Manifest, files: Mapping[str, bytes], design: Design) -> str:
    """Render the page, a single file that loads nothing else."""
    keys: dict[str, str] = {}

    def key_of_image(name: str | None) -> str | None:
        return name and keys.setdefault(name, key_of(manifest.study, 'image', name))

    trials = [
        {
            'key': key,
            'a': key_of_image(trial.image_a),
            'b': key_of_image(trial.image_b),
            'reference': key_of_image(trial.reference),
            'group': int(key in manifest.catch),
        }
        for key, trial in (manifest.items | manifest.catch).items()
    ]
    content = {
        'study': manifest.study,
        'question': design.question,
        'perRater': min(design.per_rater, len(manifest.items)),
        'repeats': design.repeats,
        'minSeconds': design.min_seconds,
        'trials': trials,
        'images': {keys[name]: base64.b64encode(files[name]).decode() for name in sorted(keys)},
    }
    templates = jinja2.FileSystemLoader(Path(__file__).with_name('page'))
    environment = jinja2.Environment(
        loader=templates, autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template('study.html').render(content=content)
