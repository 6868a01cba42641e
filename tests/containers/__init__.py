"""The compose file and the Dockerfiles, carried out on a machine without Docker."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tools"))  # what knows how pip is configured
