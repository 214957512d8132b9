"""Stage 9: did the training help?  Tables, pictures, and a page that holds both."""

from iqasr.report.bootstrap import interval
from iqasr.report.comparison import Comparison, compare
from iqasr.report.grid import picture_grid
from iqasr.report.pictures import PictureSize
from iqasr.report.report import write_report
from iqasr.report.results import Results, read_all, read_results
from iqasr.report.table import LATEX, MARKDOWN
