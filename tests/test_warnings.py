"""What is recorded of the warnings of other libraries, beside other threads."""

import threading
import warnings

import pytest

from skcgcnn._warnings import ignored_warnings, recorded_warnings


def in_another_thread(*args):
    thread = threading.Thread(target=warnings.warn, args=args)
    thread.start()
    thread.join()


def test_warnings_of_another_thread_are_shown_and_not_recorded():
    with pytest.warns(UserWarning) as shown, recorded_warnings() as own:  # noqa: PT030, PT031
        in_another_thread("of another")
        warnings.warn("of a reader", stacklevel=1)
    assert own == ["of a reader"]
    assert [str(one.message) for one in shown] == ["of another"]
    with pytest.warns(UserWarning, match="later"):
        warnings.warn("later", stacklevel=1)
    assert own == ["of a reader"]


def test_warnings_of_readers_alone_are_ignored():
    with pytest.warns(UserWarning) as shown, ignored_warnings():  # noqa: PT030, PT031
        in_another_thread("of another")
        warnings.warn_explicit("of a reader", UserWarning, "cif.py", 1, module="pymatgen.io.cif")
    assert [str(one.message) for one in shown] == ["of another"]


def test_what_another_context_brings_back_records_nothing():
    """As where a thread began its own while one was open, and ends it later."""
    with recorded_warnings() as own:
        left = warnings.showwarning
    with pytest.warns(UserWarning, match="shown"):
        left(UserWarning("shown"), UserWarning, "file.py", 1)
    assert own == []
