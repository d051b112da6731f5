"""`run_bounded` bounds; if it did not, tests of hostile files would pass by themselves."""

import pytest
from hostile import run_bounded


def test_memory():
    with pytest.raises(RuntimeError, match="MemoryError"):
        run_bounded("bytes(10**9)", megabytes=500)


def test_time():
    with pytest.raises(TimeoutError, match="still runs"):
        run_bounded("while True: pass", seconds=0.5)


def test_an_end_without_python():
    with pytest.raises(RuntimeError, match="exit status -9"):
        run_bounded("import os; os.kill(os.getpid(), 9)")
