"""Whether data are sound, and what more of them would bring."""

from skcgcnn.quality._check import Survey, check, survey
from skcgcnn.quality._duplicates import Floor
from skcgcnn.quality._residuals import Expected
from skcgcnn.quality._sources import Data, open_data

__all__ = ["Data", "Expected", "Floor", "Survey", "check", "open_data", "survey"]
