"""Running code on files from strangers in a process with bounded memory and time."""

import subprocess
import sys

__all__ = ["run_bounded"]

_LIMITS = """
import resource, sys, warnings
warnings.simplefilter("ignore")
"""


def run_bounded(code, *arguments, seconds=60, megabytes=2_000):
    """Run code, with arguments in sys.argv[1:], and return what it prints.

    The address space may grow by so many megabytes after the imports of the library.
    """
    limit = (
        "import skcgcnn, torch, sklearn, pymatgen.core, skcgcnn.estimators\n"
        "from skcgcnn.exceptions import DataError, StructureError\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, 2 * (used + {megabytes} * 10**6,))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", _LIMITS + limit + code, *map(str, arguments)],
        timeout=seconds,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
