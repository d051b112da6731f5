"""Whether data are sound, and what more of them would bring."""

from skcgcnn.quality._check import Survey, check, survey
from skcgcnn.quality._duplicates import Floor
from skcgcnn.quality._learning import PowerLaw, fit_power_law
from skcgcnn.quality._residuals import Expected
from skcgcnn.quality._sources import Data, open_data
from skcgcnn.quality._suggest import suggest, uncertainty

__all__ = [
    "Data",
    "Expected",
    "Floor",
    "PowerLaw",
    "Survey",
    "check",
    "fit_power_law",
    "open_data",
    "suggest",
    "survey",
    "uncertainty",
]
