"""The logger of the package, where a program of BasicSR has set logging up."""

import logging


def log_through_basicsr() -> None:
    """Send messages to BasicSR's log, if that has been set up and ours has not."""
    from basicsr.utils.logger import initialized_logger

    logger = logging.getLogger('iqasr')
    if 'basicsr' in initialized_logger and not logger.handlers:
        logger.parent = logging.getLogger('basicsr')
        logger.setLevel(logger.parent.level)
