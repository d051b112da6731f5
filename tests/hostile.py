"""Running code on files from strangers in a process with bounded memory and time."""

import contextlib
import io
import multiprocessing
import resource
import sys
import traceback
import warnings
from pathlib import Path

__all__ = ["run_bounded"]

# Its processes are forks of one that has imported the library: imports take seconds.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["hostile", "pymatgen.core", "skcgcnn.estimators", "torch"])

NAMES = """
import skcgcnn
from skcgcnn.exceptions import DataError, StructureError
"""


def run_bounded(code, *arguments, seconds=60, megabytes=2_000):
    """Run code, with arguments in sys.argv[1:], and return what it prints.

    The address space may grow by so many megabytes after the imports of the library.
    """
    receiver, sender = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=_run, args=(code, arguments, megabytes * 10**6, sender))
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise TimeoutError(f"still runs after {seconds} s")
        printed, error = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"ended with exit status {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    if error:
        raise RuntimeError(error)
    return printed


def _run(code, arguments, size, sender):
    names = {"sys": sys}
    exec(NAMES, names)  # noqa: S102
    sys.argv[1:] = map(str, arguments)
    warnings.simplefilter("ignore")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, 2 * (used + size,))
    error = ""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            exec(code, names)  # noqa: S102 - of a test
        except Exception:  # noqa: BLE001 - the caller raises it
            error = traceback.format_exc()
    sender.send((printed.getvalue(), error))
