"""Stage 9: did the training help?  Tables and pictures."""

from iqasr.report.grid import picture_grid
from iqasr.report.results import Results, read_results
from iqasr.report.table import markdown_table
