"""The command iqasr-restore, with a small network."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from PIL import Image
from torch import nn

from iqasr.archs.lora import add_lora
from iqasr.archs.lora_files import save_lora
from iqasr.data.files.picture_writers import write_picture
from iqasr.data.files.pictures import Picture, read_picture
from iqasr.options.sections import LoRAOptions
from iqasr.restoration import picture_restorer, restore, tile_sizes
from iqasr.restoration.commands import restore_command
from iqasr.restoration.comparison import squares
from iqasr.restoration.jobs import find_jobs
from iqasr.restoration.picture_restorer import PictureRestorer, fill_transparent
from iqasr.restoration.restore import restore_pictures
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import InputError, StorageError

CPU = torch.device('cpu')
WIDTHS = {'double': 104, 'triple': 156}
"""Of the outputs."""


def small_network(scale=2, seed=0):
    torch.manual_seed(seed)
    return SRVGGNetCompact(num_feat=6, num_conv=2, upscale=scale).eval()


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Files of two networks, x2 and x3."""
    folder = tmp_path_factory.mktemp('weights')
    for name, scale in (('double', 2), ('triple', 3)):
        torch.save({'params': small_network(scale, scale).state_dict()}, folder / f'{name}.pth')
    return folder


@pytest.fixture
def folder(photographs, tmp_path):
    """Pictures of several kinds, in folders, one of them broken."""
    root = tmp_path / 'photos'
    (root / 'deep' / 'er').mkdir(parents=True)
    image = photographs[0][:40, :52]
    Image.fromarray(image).save(root / 'a.png')
    Image.fromarray(image).save(root / 'a.jpg', quality=95)
    Image.fromarray(image[..., 0]).save(root / 'deep' / 'grey.png')
    cv2.imwrite(str(root / 'deep' / 'er' / 'sixteen.tif'), image[..., ::-1].astype(np.uint16) * 257)
    (root / 'deep' / 'broken.png').write_bytes(b'no picture')
    (root / 'notes.txt').write_text('no picture', encoding='utf-8')
    (root / '.hidden.png').write_bytes(b'no picture')
    return root


def by_hand(path, image):
    """Restore (H, W, 3) uint8 by the network itself."""
    network = small_network()
    network.load_state_dict(torch.load(path)['params'])
    lq = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        return (255 * network(lq)[0].clamp(0, 1)).round().permute(1, 2, 0).numpy()


def files_in(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())


def test_a_folder_is_restored_and_a_broken_picture_named(folder, weights, tmp_path, capsys):
    words = [str(folder), '-w', str(weights / 'double.pth'), '-o', str(tmp_path / 'out')]
    before = {file: (folder / file).read_bytes() for file in files_in(folder)}
    assert restore_command(words) == 1
    line = capsys.readouterr().out
    assert line.count('\n') == 1
    assert line.startswith(f'4 pictures restored to {tmp_path / "out"} in ')
    assert line.endswith('; 1 left out, each named above with the reason.\n')
    pictures = ['a.jpg', 'a.png', 'deep/er/sixteen.tif', 'deep/grey.png']
    assert files_in(tmp_path / 'out') == ['.iqasr-restore.json', *pictures]
    image = np.asarray(Image.open(folder / 'a.png'))
    expected = by_hand(weights / 'double.pth', image)
    found = np.asarray(Image.open(tmp_path / 'out/a.png')).astype(int)
    assert np.abs(found - expected).max() <= 1
    sixteen = read_picture(tmp_path / 'out/deep/er/sixteen.tif').pixels
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 257 - expected).max() < 0.6
    assert read_picture(tmp_path / 'out/deep/grey.png').pixels.shape == (80, 104, 1)
    assert {file: (folder / file).read_bytes() for file in files_in(folder)} == before

    times = {file: (tmp_path / 'out' / file).stat().st_mtime_ns for file in pictures}
    (tmp_path / 'out' / 'a.png').unlink()
    assert restore_command(words) == 1
    assert '1 picture restored' in (line := capsys.readouterr().out)
    assert '3 pictures there already; 1 left out' in line
    again = {file: (tmp_path / 'out' / file).stat().st_mtime_ns for file in pictures}
    assert [file for file in pictures if again[file] != times[file]] == ['a.png']
    other = [str(folder), '-w', str(weights / 'triple.pth'), '-o', str(tmp_path / 'out')]
    assert restore_command(other) == 2
    assert 'other weights' in capsys.readouterr().err


def test_pictures_of_two_networks_are_never_mixed(folder, weights, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'out'
    pictures = [str(folder / name) for name in ('a.png', 'deep/grey.png')]
    words = {n: [*pictures, '-w', str(weights / f'{n}.pth'), '-o', str(out)] for n in WIDTHS}
    assert restore_command(words['double']) == 0

    def killed(path, *rest):
        if path.name != 'a.png':
            raise KeyboardInterrupt
        write_picture(path, *rest)

    monkeypatch.setattr(restore, 'write_picture', killed)
    assert restore_command([*words['triple'], '--overwrite']) == 130
    monkeypatch.undo()
    assert restore_command(words['double']) == 2
    assert restore_command(words['triple']) == 0
    widths = [Image.open(out / name).width for name in ('a.png', 'grey.png')]
    assert widths == [WIDTHS['triple']] * 2
    assert restore_command(words['triple']) == 0
    assert '2 pictures there already' in capsys.readouterr().out


def test_pictures_without_a_record_are_not_taken_for_restored(folder, weights, tmp_path, capsys):
    out = tmp_path / 'out'
    words = [str(folder / 'a.png'), '-w', str(weights / 'double.pth'), '-o', str(out)]
    out.mkdir()
    shutil.copy(folder / 'a.png', out)
    assert restore_command(words) == 2
    assert 'a.png is there, and was not restored by this command' in capsys.readouterr().err
    assert restore_command([*words, '--overwrite']) == 0
    assert Image.open(out / 'a.png').width == WIDTHS['double']


def test_self_ensemble_is_not_mixed_with_single_outputs(folder, weights, tmp_path, capsys):
    words = ['-w', str(weights / 'double.pth'), '-o', str(tmp_path / 'out')]
    words = [str(folder / 'a.png'), *words]
    assert restore_command(words) == 0
    single = read_picture(tmp_path / 'out/a.png').pixels.astype(int)
    assert restore_command([*words, '--self_ensemble']) == 2
    assert 'another choice of --self_ensemble' in capsys.readouterr().err
    assert restore_command([*words, '--self_ensemble', '--overwrite']) == 0
    image = np.asarray(Image.open(folder / 'a.png'))
    views = []
    for turns in range(4):
        for step in (1, -1):
            view = np.rot90(image[:, ::step], turns).copy()
            views.append(np.rot90(by_hand(weights / 'double.pth', view), -turns)[:, ::step])
    mean = read_picture(tmp_path / 'out/a.png').pixels.astype(int)
    assert np.abs(mean - np.mean(views, 0)).max() <= 1.5  # each view is rounded and clipped here
    assert np.abs(mean - single).max() > 1


def test_outscale_is_the_size_of_the_final_picture(folder, weights, tmp_path, capsys):
    files = [str(folder / name) for name in ('a.png', 'deep/grey.png', 'deep/er/sixteen.tif')]
    words = [*files, '-w', str(weights / 'double.pth'), '-o', str(tmp_path / 'out')]
    assert restore_command(words) == 0
    whole = Image.open(tmp_path / 'out/a.png')
    assert restore_command([*words, '--outscale', '2']) == 0  # that of the weights
    assert '3 pictures there already' in capsys.readouterr().out
    assert restore_command([*words, '--outscale', '1.3']) == 2
    assert 'another choice of --self_ensemble or --outscale' in capsys.readouterr().err
    assert restore_command([*words, '--outscale', '1.3', '--overwrite']) == 0
    found = {f: read_picture(tmp_path / 'out' / f).pixels for f in ('a.png', 'grey.png')}
    assert found['grey.png'].shape == (52, 68, 1)
    expected = np.asarray(whole.resize((68, 52), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(found['a.png'] - expected).max() <= 1
    sixteen = read_picture(tmp_path / 'out/sixteen.tif').pixels
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 257 - expected).max() <= 2
    assert restore_command([*words, '--outscale', '1.3']) == 0
    assert '3 pictures there already' in capsys.readouterr().out
    for wrong in ('0', '-1', 'nan', 'inf'):
        assert restore_command([*words, '--outscale', wrong]) == 2
        assert f'--outscale: {float(wrong)}; give more than 0.' in capsys.readouterr().err
    assert restore_command([*words, '--outscale', '3e8']) == 2
    assert '--outscale: 3e+08; give at most 1000.' in capsys.readouterr().err


def test_a_single_picture_is_restored_to_the_file_that_is_named(folder, weights, tmp_path, capsys):
    words = [str(folder / 'a.png'), '-w', str(weights / 'double.pth')]
    out = tmp_path / 'new' / 'b.JPEG'
    assert restore_command([*words, '-o', str(out)]) == 0
    assert files_in(out.parent) == ['b.JPEG']
    with Image.open(out) as image:
        assert (image.format, image.size) == ('JPEG', (104, 80))
    assert capsys.readouterr().out.startswith(f'1 picture restored to {out} in ')
    before = out.read_bytes()
    words_3 = [str(folder / 'a.png'), '-w', str(weights / 'triple.pth'), '-o', str(out)]
    assert restore_command(words_3) == 2
    assert f'{out} is there already. Name another file, or give' in capsys.readouterr().err
    assert out.read_bytes() == before
    assert restore_command([*words_3, '--overwrite']) == 0
    assert Image.open(out).width == WIDTHS['triple']
    place = tmp_path / 'is_a_folder.png'
    place.mkdir()
    assert restore_command([*words, '-o', str(place)]) == 0
    assert Image.open(place / 'a.png').width == WIDTHS['double']


def test_a_file_is_named_for_one_picture_and_network_only(folder, weights, tmp_path, capsys):
    double, triple = (str(weights / f'{name}.pth') for name in ('double', 'triple'))
    picture, out = str(folder / 'a.png'), str(tmp_path / 'out.png')
    before = (folder / 'a.png').read_bytes()
    one = 'takes one input file and one network. Name a folder.'
    wrong = [
        ([picture, str(folder / 'a.jpg'), '-w', double, '-o', out], one),
        ([str(folder), '-w', double, '-o', out], one),
        ([str(folder / '*.png'), '-w', double, '-o', out], one),
        ([picture, '-w', double, triple, '-o', out], one),
        ([picture, '-w', double, '-o', str(tmp_path / 'a.bmp')], 'name a file of .png, .tif,'),
        ([picture, '-w', double, '-o', out, '--format', 'jpg'], 'leave out --suffix and --format'),
        ([picture, '-w', double, '-o', picture, '--overwrite'], 'is there already. Name another'),
    ]
    for words, message in wrong:
        assert restore_command(words) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / 'out.png').exists()
    assert (folder / 'a.png').read_bytes() == before


def test_outputs_of_another_size_are_compared(folder, weights, tmp_path):
    names = [str(weights / f'{name}.pth') for name in ('double', 'triple')]
    words = [str(folder / 'a.png'), '-w', *names, '-o', str(tmp_path / 'out')]
    assert restore_command([*words, '--outscale', '0.7']) == 0
    sheet = np.asarray(Image.open(tmp_path / 'out/comparison.png')).astype(int)
    assert sheet.shape == (256 + 22, 3 * 256, 3)
    columns = np.split(sheet[22:180, :], 3, axis=1)  # of a picture of 40 x 52 px
    assert np.abs(columns[1] - columns[0])[:, :200].mean() < 30
    assert (columns[1][:, :200] == 255).mean() < 0.1


def test_a_picture_of_the_same_name_from_elsewhere_is_not_taken_for_done(
    folder, weights, tmp_path, capsys
):
    other = tmp_path / 'other'
    other.mkdir()
    shutil.copy(folder / 'deep/grey.png', other / 'a.png')
    words = ['-w', str(weights / 'double.pth'), '-o', str(tmp_path / 'out')]
    assert restore_command([str(folder / 'a.png'), *words]) == 0
    before = (tmp_path / 'out/a.png').stat()
    capsys.readouterr()
    assert restore_command([str(other), *words]) == 2
    said = capsys.readouterr().err
    assert f'was restored from {(folder / "a.png").resolve()}, not from {other.resolve()}' in said
    assert restore_command([str(folder / 'deep/grey.png'), *words]) == 0  # another name
    assert restore_command([str(folder / 'a.png'), *words]) == 0  # goes on, though noted anew
    assert '1 picture there already' in capsys.readouterr().out
    assert (tmp_path / 'out/a.png').stat().st_mtime_ns == before.st_mtime_ns
    assert restore_command([str(other), *words, '--suffix', '_2']) == 0
    assert restore_command([str(other), *words, '--overwrite']) == 0
    assert read_picture(tmp_path / 'out/a.png').pixels.shape[-1] == 1


def test_several_networks_lie_side_by_side(folder, weights, tmp_path, capsys):
    names = [str(weights / f'{name}.pth') for name in ('double', 'triple')]
    words = [str(folder / 'a.png'), '-w', *names, '-o', str(tmp_path / 'out'), '--suffix', '_x']
    assert restore_command([*words, '--format', 'webp']) == 0
    sizes = {
        name: Image.open(tmp_path / 'out' / name / 'a_x.webp').size for name in ('double', 'triple')
    }
    assert sizes == {'double': (104, 80), 'triple': (156, 120)}
    assert Image.open(tmp_path / 'out/comparison.png').size == (3 * 256, 256 + 22)


def test_the_square_shown_has_the_most_detail_in_grey(tmp_path):
    image = np.full((64, 128, 3), 128, np.uint8)
    image[::2, :64, 2] = image[::2, 64:, 0] = 228  # blue left; red, which is brighter, right
    Image.fromarray(image).save(tmp_path / 'a.png')
    (square,) = squares([tmp_path / 'a.png'])
    assert square[..., 0].std() == 0 < square[..., 2].std()


def test_of_the_folder_of_a_run_the_best_weights_are_taken(
    folder, weights, tmp_path, capsys, caplog
):
    for run, files in {
        'one': {'latest': 'double'},
        'two': {'latest': 'double', 'best': 'triple'},
    }.items():
        models = tmp_path / 'experiments' / run / 'models'
        models.mkdir(parents=True)
        for name, kind in files.items():
            shutil.copy(weights / f'{kind}.pth', models / f'net_g_{name}.pth')
    runs = [str(tmp_path / 'experiments' / run) for run in ('one', 'two')]
    picture, out = str(folder / 'a.png'), tmp_path / 'out'
    assert restore_command([picture, '-w', *runs, '-o', str(out)]) == 0
    widths = [Image.open(out / run / 'a.png').width for run in ('one', 'two')]
    assert widths == list(WIDTHS.values())
    assert f'{runs[0]}: its weights are those of models/net_g_latest.pth.' in caplog.text
    assert f'{runs[1]}: its weights are those of models/net_g_best.pth.' in caplog.text
    assert restore_command([picture, '-w', str(tmp_path), '-o', str(out)]) == 2
    assert 'holds neither net_g_best.pth nor net_g_latest.pth' in capsys.readouterr().err


def test_adapters_count_by_their_scale(folder, weights, tmp_path):
    network = small_network(2, 2)
    add_lora(network, LoRAOptions(rank=2), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith('lora_b'):
                parameter.fill_(1)
    save_lora(network, tmp_path / 'lora.safetensors')
    outputs = {}
    for scale in ('0', '1'):
        words = ['-w', str(weights / 'double.pth'), '-o', str(tmp_path / scale)]
        words += ['--lora', str(tmp_path / 'lora.safetensors'), '--lora_scale', scale]
        assert restore_command([str(folder / 'a.png'), *words]) == 0
        outputs[scale] = np.asarray(Image.open(tmp_path / scale / 'a.png')).astype(int)
    image = np.asarray(Image.open(folder / 'a.png'))
    assert np.abs(outputs['0'] - by_hand(weights / 'double.pth', image)).max() <= 1
    lq = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        adapted = (255 * network(lq)[0].clamp(0, 1)).round().permute(1, 2, 0).numpy()
    assert np.abs(outputs['1'] - adapted).max() <= 1
    assert np.abs(outputs['1'] - outputs['0']).max() > 5


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        (['none', '-o', 'out'], 'there is no such file or folder'),
        (['photos', '-o', 'photos'], 'would be overwritten'),
        (['photos', '-o', 'out', '--tile_px', '0'], '--tile_px: 0; give more than 0'),
        (['photos', '-o', 'out', '--lora_scale', '1'], '1 for 0 adapters'),
        (['photos', '-o', 'out', '--suffix', '/x'], '--suffix: /x; give a part of a name'),
        (['photos', '-o', 'photos/notes.txt'], '--output: photos/notes.txt is a file'),
    ],
)
def test_what_cannot_begin_is_refused(
    folder, weights, tmp_path, monkeypatch, capsys, words, reason
):
    monkeypatch.chdir(tmp_path)
    assert restore_command([*words, '-w', str(weights / 'double.pth')]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def targets(inputs, output, **options):
    return [
        str(job.target.relative_to(output))
        for job in find_jobs(list(map(str, inputs)), output, **options)
    ]


def test_places_and_the_files_they_become(folder, tmp_path):
    out = tmp_path / 'out'
    everything = ['a.jpg', 'a.png', 'deep/broken.png', 'deep/er/sixteen.tif', 'deep/grey.png']
    assert targets([folder], out) == everything
    assert targets([folder / '**' / '*.png'], out) == ['a.png', 'deep/broken.png', 'deep/grey.png']
    assert targets([folder / 'deep', folder / 'deep/er'], out)[-1] == 'deep/grey.png'
    assert targets([folder], out, file_format='png')[:2] == ['a.jpg.png', 'a.png.png']
    assert targets([folder], out, suffix='_x4')[0] == 'a_x4.jpg'
    for place in (folder, folder / 'restored'):  # its own outputs are no inputs of a second run
        jobs = find_jobs([str(folder)], place, suffix='_x4')
        for job in jobs:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            job.target.write_bytes(b'')
        assert [j.target for j in find_jobs([str(folder)], place, suffix='_x4')] == [
            j.target for j in jobs
        ]
        for job in jobs:
            job.target.unlink()
    (folder / 'deep' / 'a.png').write_bytes(b'')
    with pytest.raises(InputError, match=r'several pictures would become .*a\.png'):
        find_jobs([str(folder / 'a.png'), str(folder / 'deep' / 'a.png')], out)


@pytest.mark.parametrize('kind', ['colour', 'alpha', 'sixteen'])
def test_tiles_give_what_the_whole_gives(photographs, kind):
    pixels = np.ascontiguousarray(np.hstack([photographs[0], photographs[5]])[:83])
    alpha = None
    if kind == 'alpha':
        alpha = np.zeros((83, 192, 1), np.uint8)
        cv2.circle(alpha, (60, 40), 30, 255, -1, cv2.LINE_AA)
    elif kind == 'sixteen':
        pixels = pixels.astype(np.uint16) * 257
    picture = Picture(pixels, alpha)
    fill_transparent(picture)
    network = small_network()
    whole = PictureRestorer(network, 2, CPU, memory_bytes=1e12)
    tiled = PictureRestorer(network, 2, CPU, memory_bytes=1e12, tile_px=64)
    assert (len(whole.bands(picture)), len(tiled.bands(picture))) == (1, 2)
    assert tiled.overlap_px == 8
    outputs = [np.concatenate([b() for b in r.bands(picture)]) for r in (whole, tiled)]
    assert outputs[0].shape == (166, 384, 3 + (kind == 'alpha'))
    difference = np.abs(outputs[0].astype(int) - outputs[1])
    assert difference.max() <= (4 if kind == 'sixteen' else 0)  # of 65535, and of 255


def test_grey_is_the_mean_of_the_three_channels(photographs):
    grey = photographs[0][..., :1]
    (band,) = PictureRestorer(small_network(), 2, CPU).bands(Picture(grey))
    lq = torch.from_numpy(grey.repeat(3, -1)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = 255 * small_network()(lq)[0].clamp(0, 1).mean(0)
    assert np.abs(band()[..., 0] - expected.numpy()).max() <= 0.51


@pytest.mark.parametrize(('kind', 'is_halved'), [(np.uint8, True), (np.uint16, False)])
def test_half_precision_is_for_8_bits_alone(kind, is_halved, photographs):
    dtypes = []
    network = small_network()
    network.register_forward_hook(lambda _, __, output: dtypes.append(output.dtype))
    picture = Picture(photographs[0].astype(kind) * (1 if is_halved else 257))
    (band,) = PictureRestorer(network, 2, CPU, half=True, memory_bytes=1e12).bands(picture)
    dtypes.clear()  # of the memory measured
    band()
    assert (torch.float16 in dtypes) == is_halved


def test_edges_of_what_is_transparent_are_clean():
    pixels = np.zeros((40, 40, 3), np.uint8)
    alpha = np.zeros((40, 40, 1), np.uint8)
    alpha[:, 20:] = 255
    pixels[:, 20:] = (200, 100, 50)
    picture = Picture(pixels, alpha)
    fill_transparent(picture)
    assert (picture.pixels == (200, 100, 50)).all()
    (band,) = PictureRestorer(small_network(seed=3), 2, CPU).bands(picture)
    restored = band()[..., 3]
    assert (restored[:, :38] == 0).all()
    assert (restored[:, 42:] == 255).all()


def test_the_nearest_colour_is_taken_for_what_is_hidden(photographs):
    pixels, alpha = photographs[1].copy(), np.zeros((96, 96, 1), np.uint8)
    alpha[10, 20], alpha[70, 60] = 128, 1
    picture = Picture(pixels.copy(), alpha)
    fill_transparent(picture)
    assert (picture.pixels[0, 0] == pixels[10, 20]).all()
    assert (picture.pixels[95, 95] == pixels[70, 60]).all()


class SeesAll(nn.Module):
    """Sees all of its input."""

    def forward(self, lq):
        return lq + lq.mean((2, 3), keepdim=True)


def test_the_overlap_covers_what_a_network_sees(caplog):
    torch.manual_seed(0)
    far = nn.Conv2d(3, 3, 3, padding=20, dilation=20).requires_grad_(False)
    assert tile_sizes.find_overlap(far, 1, CPU) == 32
    assert tile_sizes.find_overlap(nn.Identity(), 1, CPU) == 8
    assert caplog.records == []
    assert tile_sizes.find_overlap(SeesAll(), 1, CPU) == 96
    assert 'tiles are an approximation' in caplog.text
    assert 'restored whole, the difference may be larger' in caplog.text
    assert 'memory' not in caplog.text


def test_the_overlap_can_be_given(monkeypatch, caplog):
    caplog.set_level('INFO', 'iqasr')
    picture, network = Picture(np.zeros((100, 100, 3), np.uint8)), small_network()
    small = PictureRestorer(network, 2, CPU, tile_px=5)
    assert small.division(picture) == (5, 8)
    assert 'Tiles see 8 px beyond each side' in caplog.text
    assert 'more than the tiles have (5 px): larger ones are faster' in caplog.text
    caplog.clear()
    PictureRestorer(network, 2, CPU, tile_px=64).division(picture)
    assert 'faster' not in caplog.text
    monkeypatch.setattr(picture_restorer, 'find_overlap', None)  # not tried
    given = PictureRestorer(network, 2, CPU, tile_px=64, tile_overlap_px=0)
    assert given.division(picture) == (64, 0)
    whole = PictureRestorer(network, 2, CPU, tile_overlap_px=3)
    assert whole.division(picture) == (100, 0)


def test_the_command_takes_an_overlap(folder, weights, tmp_path, capsys, caplog):
    words = [str(folder / 'a.png'), '-w', str(weights / 'double.pth'), '--tile_px', '16']
    for overlap in (0, 8):
        out = ['-o', str(tmp_path / str(overlap)), '--tile_overlap_px', str(overlap)]
        assert restore_command([*words, *out]) == 0
    image = np.asarray(Image.open(folder / 'a.png'))
    expected = by_hand(weights / 'double.pth', image)
    found = [np.asarray(Image.open(tmp_path / n / 'a.png')).astype(int) for n in ('0', '8')]
    assert np.abs(found[1] - expected).max() <= 1
    assert np.abs(found[0] - expected).max() > 1  # seams
    assert 'Tiles see' not in caplog.text
    assert restore_command([*words, '-o', str(tmp_path), '--tile_overlap_px', '-1']) == 2
    assert '--tile_overlap_px: -1; give 0 or more' in capsys.readouterr().err


def test_memory_is_counted_while_it_is_alive():
    def restore(lq):
        wide = lq.repeat(1, 4, 1, 1)
        return (wide + 1)[:, :3].clone()

    # 4 times 3 channels twice; then, of the sum, the copy of 3 channels beside both.
    found = tile_sizes.measure_bytes_per_pixel(restore, CPU) / tile_sizes.WORKSPACE
    assert found == pytest.approx(4 * (12 + 12 + 3 + 3), rel=0.11)


def test_less_memory_makes_smaller_tiles():
    picture = Picture(np.zeros((900, 700, 3), np.uint8))
    sides = []
    for megabytes in (10_000, 60, 25, 1):
        restorer = PictureRestorer(small_network(), 2, CPU)
        restorer.budget_bytes = megabytes * 1e6
        sides.append(restorer.division(picture).tile_px)
    assert sides[0] in (900, 512)
    assert sides[1:] == sorted(sides[1:], reverse=True)
    assert sides[-1] == 64


def test_a_full_gpu_makes_parts(photographs, monkeypatch, caplog):
    original, calls = picture_restorer.restore_whole, []

    def restore_whole(network, lq, scale, **options):
        calls.append(tuple(lq.shape[-2:]))
        if lq.shape[-1] > 100:
            raise torch.cuda.OutOfMemoryError
        return original(network, lq, scale)

    monkeypatch.setattr(picture_restorer, 'restore_whole', restore_whole)
    monkeypatch.setattr(PictureRestorer, 'overlap_px', 8)
    restorer = PictureRestorer(small_network(), 2, CPU, memory_bytes=1e12)
    lq = torch.from_numpy(np.hstack(photographs[:2])).permute(2, 0, 1)[None].float() / 255
    found = restorer.restore_tile(lq)
    torch.testing.assert_close(found, small_network()(lq).detach(), atol=1e-5, rtol=0)
    assert 'does not suffice' in caplog.text
    assert max(size[1] for size in calls[1:]) <= 80


def test_processes_share_the_pictures(folder, weights, tmp_path):
    jobs = find_jobs([str(folder)], tmp_path / 'out')

    class Alone(Process):
        def gather(self, value):
            return [value]

        def barrier(self):
            pass

    shares = [
        restore_pictures(
            jobs, PictureRestorer(small_network(), 2, CPU), process=Alone(rank, 2)
        ).restored
        for rank in (1, 0)
    ]
    assert shares == [2, 2]  # of the rest, the broken one falls to rank 0


def test_a_full_disk_ends_it_and_a_network_that_fails_does_not(folder, tmp_path, monkeypatch):
    jobs = find_jobs([str(folder / 'a.png'), str(folder / 'a.jpg')], tmp_path / 'out')
    restorer = PictureRestorer(nn.Conv2d(4, 3, 1), 1, CPU)
    tally = restore_pictures(jobs, restorer)
    assert len(tally.left_out) == 2
    assert 'the network cannot restore it' in tally.left_out[str(folder / 'a.png')]

    def odd(path, *_):
        raise ValueError(f'{path.name} is odd')

    monkeypatch.setattr(restore, 'write_picture', odd)
    tally = restore_pictures(jobs, PictureRestorer(small_network(), 2, CPU))
    assert sorted(tally.left_out.values()) == ['a.jpg is odd', 'a.png is odd']

    def full(*_):
        raise StorageError('full') from OSError(28, 'No space left on device')

    monkeypatch.setattr(restore, 'write_picture', full)
    with pytest.raises(StorageError):
        restore_pictures(jobs, PictureRestorer(small_network(), 2, CPU))
