"""The option files of other tools that are understood, and the meaning of their names.

Source:
    The option files, data sets and models of BasicSR 1.4.2 and master
    (https://github.com/XPixelGroup/BasicSR), Real-ESRGAN (https://github.com/xinntao/Real-ESRGAN),
    LDL (https://github.com/csjliang/LDL), HGGT (https://github.com/ChrisDud0257/HGGT), HAT
    (https://github.com/XPixelGroup/HAT), DAT and RGT (https://github.com/zhengchen1999), ATD
    (https://github.com/LabShuHangGU/Adaptive-Token-Dictionary), DRCT
    (https://github.com/ming053l/DRCT) and SAFMN (https://github.com/sunny2109/SAFMN). Nothing is
    copied; the names and what they mean are those of these projects.
"""

from typing import NamedTuple

SWITCHES = {
    'gt_usm': 'original',
    'l1_gt_usm': 'pixel',
    'percep_gt_usm': 'perceptual',
    'gan_gt_usm': 'gan',
}
"""Switches, and what they sharpen: Real-ESRNet's the original, before anything else is done;
Real-ESRGAN's the ground truth of terms. Its model degrades a sharpened image whatever they say."""


class Family(NamedTuple):
    """A ``model_type`` of a tool, with the kind of its ``GANLoss`` and of its switches."""

    tool: str
    relativistic: bool = False
    sharpens: str = 'nothing'  # or: original, terms


FAMILIES = {
    **dict.fromkeys(['SRModel', 'SwinIRModel', 'SRGANModel'], Family('BasicSR')),
    'ESRGANModel': Family('BasicSR', relativistic=True),
    'RealESRNetModel': Family('Real-ESRGAN', sharpens='original'),
    'RealESRGANModel': Family('Real-ESRGAN', sharpens='terms'),
    'SRGANArtifactsDisModel': Family('LDL'),
    'ESRGANArtifactsDisModel': Family('LDL', relativistic=True),
    'RealESRGANArtifactsDisModel': Family('LDL', sharpens='terms'),
    **dict.fromkeys(['Ours_Model', 'Ours_PosGT_Model', 'Ours_PosNegGT_Model'], Family('HGGT')),
    **dict.fromkeys(['LDL_PosGT_Model', 'RealESRGAN_PosGT_Model'], Family('HGGT')),
    **dict.fromkeys(['LDL_noGAN_Model', 'RealESRNet_Model'], Family('HGGT', False, 'original')),
    **dict.fromkeys(['LDL_Model', 'RealESRGAN_Model'], Family('HGGT', False, 'terms')),
    'EnhancementModel': Family('HGGT'),
    **{f'{tool}Model': Family(tool) for tool in ('HAT', 'DAT', 'RGT', 'ATD', 'DRCT')},
    **{f'Real{tool}MSEModel': Family(tool, sharpens='original') for tool in ('HAT', 'DRCT')},
    **{f'Real{tool}GANModel': Family(tool, sharpens='terms') for tool in ('HAT', 'DRCT')},
    'RealSRModel': Family('SAFMN', sharpens='original'),
    'RealGANModel': Family('SAFMN', sharpens='terms'),
}
"""Families by their ``model_type``."""


class DegradingDataset(NamedTuple):
    """A data set that degrades its images."""

    stages: int  # 0: bicubic reduction
    candidates: str
    originals: bool = False
    largest_kernel: bool = True  # whether kernels may be as large as blur_kernel_size_max says


DEGRADING_DATASETS = {
    'RealESRGANDataset': DegradingDataset(2, 'original', originals=True),
    'OneStageDegradation_DF2K_Dataset': DegradingDataset(1, 'original', originals=True),
    'TwoStageDegradation_DF2K_Dataset': DegradingDataset(2, 'original', originals=True),
    'PosNegGTOriDataset': DegradingDataset(1, 'original'),
    'PosNegGTPosDataset': DegradingDataset(1, 'positives'),
    'PosNegGTPosNeg_Dataset': DegradingDataset(1, 'positives-else-original'),
    'TwoStageDegradation_PosNegGTPos_Dataset': DegradingDataset(2, 'positives'),
    'EnhancementDataset': DegradingDataset(1, 'original', originals=True, largest_kernel=False),
    'ImageNetPairedDataset': DegradingDataset(0, 'original', originals=True),
}
"""Data sets that become a `MultiGTDataset` with sampling and degradation."""

NETWORKS = {
    'VGGStyleDiscriminator128': {'type': 'VGGStyleDiscriminator', 'input_size': 128},
    'VGGStyleDiscriminator256': {'type': 'VGGStyleDiscriminator', 'input_size': 256},
    'RealESRGANUNetDiscriminatorSN': {'type': 'UNetDiscriminatorSN'},
    'RCANNOUP': {'type': 'RCAN', 'upscale': 1},
}
"""Networks under an earlier or another name; their weights have the same names."""

NETWORK_DEFAULTS = {
    'HAT': {'upsampler': ''},
    'ATD': {'category_size': 128},
    'DRCT': {
        **{'embed_dim': 96, 'depths': [6] * 4, 'num_heads': [6] * 4},
        **{'window_size': 7, 'mlp_ratio': 4.0},
    },
}
"""Defaults of networks in their own repositories, where those of spandrel are others."""

NETWORK_IDLE = {'DRCT': ('compress_ratio', 'squeeze_factor', 'conv_scale', 'overlap_ratio')}
"""Options that a network takes in its own repository without using them, and not in spandrel."""

TERMS = {
    'ldl_opt': ('L1Loss', 'LDLLoss', {'reduction': 'mean'}),
    'neg_opt': ('L1Loss', 'NegativeLoss', {'reduction': 'mean'}),
    'gan_opt': ('GANLoss', 'RelativisticGANLoss', {'real_label_val': 1, 'fake_label_val': 0}),
}
"""Terms that are defined by a model there, and by a loss here: its ``type`` there and here, and the
options that are constants here."""

MOVED = {
    'path.pretrain_model_g': 'path.pretrain_network_g',
    'path.pretrain_model_d': 'path.pretrain_network_d',
    'path.strict_load': 'path.strict_load_g',
    'train.pixel_opt_o': 'train.pixel_opt',
    'train.artifacts_opt': 'train.ldl_opt',
    'tile_size': 'val.tile_px',
    'tile_pad': 'val.tile_overlap_px',
}
"""Options under an earlier or another name."""

MOVED_IN_DATASETS = {
    'use_flip': 'use_hflip',
    'dataroot_all_gt': 'dataroot_gt',
    'dataroot_all_json': 'dataroot_labels',
}

"""Likewise, in each section of ``datasets``."""

CHOP_PX, CHOP_OVERLAP_PX = 200, 16
"""Largest side and overlap of the pieces of ``use_chop`` (DAT, RGT), in pixels of the input."""

UNUSED = {
    '': 'Use_sharpen use_sharp use_static_graph merge_bn merge_bn_startpoint auto_resume save_img',
    'path': 'ignore_resume_networks experiments_root results_root models training_states log '
    'visualization',
    'train': 'net_g_reg_every net_d_reg_every r1_reg_weight path_reg_weight path_batch_shrink '
    'mixing_prob fix_flow lr_flow flow_lr_mul dcn_lr_mul tsa_iter manual_seed use_grad_clip',
    'val': 'use_image num_val_samples flip_seq center_frame_only use_chop',
    'datasets': 'phase scale task crop_size cache_data padding num_frame num_prefetch_queue '
    'val_partition test_mode enlarge_scale num_patches_per_image lq_patchsize degradation_type '
    'dataroot_all_bicubic_LR_folder filter_no_effective_set dataroot_flow random_reverse '
    'interval_list use_sharp pos_img_list_each enhanced_num geometric_augs',
    'val.metrics': 'input_order convert_to',
}
"""Options that these tools have and iqasr does without, by section; ``datasets`` and
``val.metrics`` stand for each section inside them."""


def own_options(path: str) -> set[str]:
    """List the options that these tools have at a place and that need not be among ours.

    Args:
        path: Dotted path of a section.
    """
    parent = path.rpartition('.')[0]
    names = {*UNUSED.get(parent if parent in ('datasets', 'val.metrics') else path, '').split()}
    if not path:
        names |= {*SWITCHES, 'high_order_degradation', 'queue_size', 'gt_size'}
        names |= {'pre_pad', 'tile_process'}
    if parent == 'datasets':
        names |= {*MOVED_IN_DATASETS}
    return names | {old.rpartition('.')[2] for old in MOVED if old.rpartition('.')[0] == path}


SIGNS = {
    'traiNNer-redux (python train.py -opt ...)': (
        *('train.losses', 'train.use_moa', 'val.val_enabled', 'val.metrics_enabled'),
        *('datasets.train.lq_size', 'datasets.train.accum_iter', 'use_channels_last', 'amp_bf16'),
        *('fast_matmul', 'use_compile', 'onnx'),
    ),
    'neosr (python train.py -opt ...)': (
        *('degradations', 'bfloat16', 'compile', 'datasets.train.patch_size'),
        *('datasets.train.augmentation', 'train.wavelet_guided', 'logger.total_iter'),
    ),
    'traiNNer, or BasicSR before version 1.0 (mmsr)': (
        *('network_G', 'network_D', 'gpu_ids', 'datasets.train.dataroot_HR', 'train.niter'),
        *('datasets.train.dataroot_GT', 'path.pretrain_model_G', 'train.lr_G'),
    ),
    'KAIR (python main_train_psnr.py --opt ...)': ('netG', 'n_channels', 'path.pretrained_netG'),
}
"""Options by which the files of tools are told whose format is another than BasicSR's: by what runs
them. None of them is an option of ours."""

_VIDEO = ('video super-resolution', 'BasicSR (basicsr/train.py, basicsr/test.py)')
_OTHER_TASKS = {
    'VideoBaseModel VideoGANModel VideoRecurrentModel VideoRecurrentGANModel EDVRModel': _VIDEO,
    'EDVR DUF TOFlow SpyNet BasicVSR BasicVSRPlusPlus IconVSR REDSDataset Vimeo90KDataset': _VIDEO,
    'REDSRecurrentDataset Vimeo90KRecurrentDataset VideoTestDataset VideoTestDUFDataset': _VIDEO,
    'VideoTestVimeo90KDataset VideoRecurrentTestDataset': _VIDEO,
    'StyleGAN2Model StyleGAN2Generator FFHQDataset': ('face synthesis', 'BasicSR'),
    'HiFaceGANModel HiFaceGAN': ('face restoration', 'BasicSR'),
    'DFDNetModel DFDNet': ('face restoration', 'DFDNet'),
    'GFPGANModel GFPGANv1 FFHQDegradationDataset': ('face restoration', 'GFPGAN (gfpgan/train.py)'),
    'AdaTarget_Model AdaTargetGAN_Model AdaTarget_PosGT_Model RRDBAdaNet': (
        'training against a moving target',
        'HGGT (basicsr/train_adatarget.py)',
    ),
    'ImageRestorationModel': ('deblurring or denoising', 'NAFNet'),
    'ImageCleanModel': ('deblurring or denoising', 'Restormer'),
}

REFUSED = {
    name: f'is for {task}, which iqasr does not do; run it with {tool}'
    for names, (task, tool) in _OTHER_TASKS.items()
    for name in names.split()
} | {
    'ELAN': 'is a network that iqasr does not have; run it with HGGT (ImageEnhancement/basicsr/'
    'train.py), or train an enhancer of another network by options/train/enhance_x1.yml'
}
"""Types of models, networks and data sets that are not run, with what runs them."""
