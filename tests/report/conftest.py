"""Result folders as iqasr/test.py leaves them, with numbers that the tests choose."""

import csv
import json

import cv2
import numpy as np
import pytest
import yaml

BETTER = {'psnr': 'higher', 'ssim': 'higher', 'niqe': 'lower', 'detail': None}


@pytest.fixture
def make_results(tmp_path, photographs):
    """Write a result folder: values by metric, one per image; images with a blotch, or none."""

    def make(name, values, *, folder=None, dataset='pieces', blotch=None, options=None, **summary):
        root = tmp_path / (folder or name)
        root.mkdir()
        images = [f'{n:02d}' for n in range(len(next(iter(values.values()))))]
        with (root / f'{dataset}.csv').open('w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['name', *values])
            writer.writerows(zip(images, *values.values(), strict=True))
        files = {image: {} for image in images}
        for image, photograph in zip(images, photographs, strict=False):
            if blotch is not None:
                files[image] = write_images(tmp_path, root, image, photograph[..., ::-1], blotch)
        content = {
            'name': name,
            'better': {metric: BETTER[metric] for metric in values},
            'sets': {
                dataset: {
                    'means': {m: float(np.nanmean(v)) for m, v in values.items()},
                    'files': files,
                }
            },
        }
        (root / 'summary.json').write_text(json.dumps(content | summary))
        if options is not None:
            (root / 'options.yml').write_text(yaml.safe_dump(options))
        return root

    return make


def write_images(shared, root, image, photograph, blotch):
    paths = {what: shared / what / f'{image}.png' for what in ('gt', 'lq')}
    paths['output'] = root / 'visualization' / 'pieces' / f'{image}.png'
    output = photograph.copy()
    output[60:80, 10:30] = blotch
    small = cv2.resize(photograph, (24, 24), interpolation=cv2.INTER_AREA)
    for path, content in zip(paths.values(), (photograph, small, output), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), content)
    return {what: str(path) for what, path in paths.items()}


@pytest.fixture
def two_runs(make_results):
    """A baseline and a run that is better in PSNR by 1 to 10, and worse in NIQE by 0.5."""
    psnr, niqe = np.arange(20.0, 30.0), np.full(10, 5.0)
    gain = np.array([4, 9, 1, 10, 2, 8, 3, 7, 5, 6.0])
    return [
        make_results('base', {'psnr': psnr, 'niqe': niqe}, blotch=0),
        make_results('other', {'psnr': psnr + gain, 'niqe': niqe + 0.5}, blotch=255),
    ]
