"""Which option files of other tools are understood, and what their names stand for.

Source:
    The option files, data sets and models of BasicSR 1.4.2 and master
    (https://github.com/XPixelGroup/BasicSR), Real-ESRGAN (https://github.com/xinntao/Real-ESRGAN),
    LDL (https://github.com/csjliang/LDL) and HGGT (https://github.com/ChrisDud0257/HGGT). Nothing
    is copied; the names and what they mean are those of these projects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

OURS = 'RestorationModel'

TERM_OF = {'l1_gt_usm': 'pixel', 'percep_gt_usm': 'perceptual', 'gan_gt_usm': 'gan'}
"""Real-ESRGAN's switches, and the terms whose ground truth they sharpen. Its model degrades the
sharpened image whatever they say."""

ORIGINAL_OF = {'gt_usm': 'original'}
"""Real-ESRNet's switch, which sharpens before anything else is done."""


@dataclass(frozen=True)
class Family:
    """What a ``model_type`` of another tool asks for."""

    tool: str
    """Where it comes from."""
    relativistic: bool = False
    """Whether its ``GANLoss`` is relativistic."""
    sharpens: Mapping[str, str] = field(default_factory=dict)
    """What is sharpened, by the switch it reads."""


FAMILIES = {
    'SRModel': Family('BasicSR'),
    'SwinIRModel': Family('BasicSR'),
    'SRGANModel': Family('BasicSR'),
    'ESRGANModel': Family('BasicSR', relativistic=True),
    'RealESRNetModel': Family('Real-ESRGAN', sharpens=ORIGINAL_OF),
    'RealESRGANModel': Family('Real-ESRGAN', sharpens=TERM_OF),
    'SRGANArtifactsDisModel': Family('LDL'),
    'ESRGANArtifactsDisModel': Family('LDL', relativistic=True),
    'RealESRGANArtifactsDisModel': Family('LDL', sharpens=TERM_OF),
    'Ours_Model': Family('HGGT'),
    'Ours_PosGT_Model': Family('HGGT'),
    'Ours_PosNegGT_Model': Family('HGGT'),
    'LDL_noGAN_Model': Family('HGGT', sharpens=ORIGINAL_OF),
    'LDL_Model': Family('HGGT', sharpens=TERM_OF),
    'LDL_PosGT_Model': Family('HGGT'),
    'RealESRNet_Model': Family('HGGT', sharpens=ORIGINAL_OF),
    'RealESRGAN_Model': Family('HGGT', sharpens=TERM_OF),
    'RealESRGAN_PosGT_Model': Family('HGGT'),
    'EnhancementModel': Family('HGGT'),
}
"""Families by their ``model_type``."""


@dataclass(frozen=True)
class Source:
    """What a data set that degrades its images stands for."""

    stages: int
    """1: `FirstOrderDegradation`, 2: `SecondOrderDegradation`."""
    candidates: str
    """``sampling.candidates``."""
    originals: bool = False
    """Whether it holds photographs without candidates."""
    labels: bool = False
    """Whether the choice, or a term, needs human judgements."""
    largest_kernel: bool = True
    """Whether kernels may be as large as ``blur_kernel_size_max`` says, or only smaller."""


SOURCES = {
    'RealESRGANDataset': Source(2, 'original', originals=True),
    'OneStageDegradation_DF2K_Dataset': Source(1, 'original', originals=True),
    'TwoStageDegradation_DF2K_Dataset': Source(2, 'original', originals=True),
    'PosNegGTOriDataset': Source(1, 'original'),
    'PosNegGTPosDataset': Source(1, 'positives', labels=True),
    'PosNegGTPosNeg_Dataset': Source(1, 'positives-else-original', labels=True),
    'TwoStageDegradation_PosNegGTPos_Dataset': Source(2, 'positives', labels=True),
    'EnhancementDataset': Source(1, 'original', originals=True, largest_kernel=False),
}
"""Data sets that become a `MultiGTDataset` with sampling and degradation."""

NETWORKS = {
    'VGGStyleDiscriminator128': {'type': 'VGGStyleDiscriminator', 'input_size': 128},
    'VGGStyleDiscriminator256': {'type': 'VGGStyleDiscriminator', 'input_size': 256},
    'RealESRGANUNetDiscriminatorSN': {'type': 'UNetDiscriminatorSN'},
    'RCANNOUP': {'type': 'RCAN', 'upscale': 1},
}
"""Networks under an earlier or another name; their weights have the same names."""

RENAMED = {
    'path': {
        'pretrain_model_g': 'pretrain_network_g',
        'pretrain_model_d': 'pretrain_network_d',
        'strict_load': 'strict_load_g',
    },
    'train': {'pixel_opt_o': 'pixel_opt', 'artifacts_opt': 'ldl_opt'},
    'datasets': {
        'use_flip': 'use_hflip',
        'dataroot_all_gt': 'dataroot_gt',
        'dataroot_all_json': 'dataroot_labels',
    },
}
"""Options under an earlier or another name, by section."""

TERMS = {'ldl_opt': 'LDLLoss', 'neg_opt': 'NegativeLoss'}
"""Terms whose ``L1Loss`` is part of a definition that is a loss of ours."""

IGNORED = {
    'pre_pad': 'images are extended as far as the network asks for it.',
    'datasets.num_prefetch_queue': 'batches are loaded ahead by num_worker_per_gpu processes.',
}
"""Options that change nothing here, and why."""

_VIDEO = (
    'is for video super-resolution, which iqasr does not do; run it with BasicSR '
    '(basicsr/train.py, basicsr/test.py)'
)
_FACE = 'is for face {}, which iqasr does not do; run it with {}'
_BLUR = 'is for deblurring or denoising, which iqasr does not do; run it with {}'
_OTHER = 'needs {}, which iqasr does not have; run it with {}'

REFUSED = {
    **dict.fromkeys(
        [
            'VideoBaseModel',
            'VideoGANModel',
            'VideoRecurrentModel',
            'VideoRecurrentGANModel',
            'EDVRModel',
            'EDVR',
            'DUF',
            'TOFlow',
            'SpyNet',
            'BasicVSR',
            'BasicVSRPlusPlus',
            'IconVSR',
            'REDSDataset',
            'REDSRecurrentDataset',
            'Vimeo90KDataset',
            'Vimeo90KRecurrentDataset',
            'VideoTestDataset',
            'VideoTestVimeo90KDataset',
            'VideoTestDUFDataset',
            'VideoRecurrentTestDataset',
        ],
        _VIDEO,
    ),
    **dict.fromkeys(
        ['StyleGAN2Model', 'StyleGAN2Generator', 'FFHQDataset'],
        _FACE.format('synthesis', 'BasicSR'),
    ),
    **dict.fromkeys(['HiFaceGANModel', 'HiFaceGAN'], _FACE.format('restoration', 'BasicSR')),
    **dict.fromkeys(['DFDNetModel', 'DFDNet'], _FACE.format('restoration', 'DFDNet')),
    **dict.fromkeys(
        ['GFPGANModel', 'GFPGANv1', 'FFHQDegradationDataset'],
        _FACE.format('restoration', 'GFPGAN (gfpgan/train.py)'),
    ),
    **dict.fromkeys(
        ['AdaTarget_Model', 'AdaTargetGAN_Model', 'AdaTarget_PosGT_Model', 'RRDBAdaNet'],
        _OTHER.format('a network that moves the target', 'HGGT (basicsr/train_adatarget.py)'),
    ),
    'ELAN': (
        'is a network that iqasr does not have; run it with HGGT (ImageEnhancement/basicsr/'
        'train.py), or train an enhancer of another network by options/train/enhance_x1.yml'
    ),
    'ImageRestorationModel': _BLUR.format('NAFNet'),
    'ImageCleanModel': _BLUR.format('Restormer'),
}
"""Types of models, networks and data sets that are not run, and what runs them."""
