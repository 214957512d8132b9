"""Reports on the results of trainings: tables, pictures, and a page with both."""

from iqasr.report.comparison import RunComparison, compare_runs
from iqasr.report.pictures import PictureSize, picture_grid
from iqasr.report.report import write_report
from iqasr.report.table import LATEX, MARKDOWN
