"""Workers end with their parent, however that ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from joblib import Parallel, delayed, parallel_config, register_parallel_backend
from joblib.parallel import ThreadingBackend

from skcgcnn._parallel import streaming_parallel, task

WORK = """
import sys, time
from pathlib import Path
from skcgcnn._parallel import streaming_parallel, task
from joblib import parallel_config
from workers import note
with parallel_config(backend=sys.argv[2]):
    list(streaming_parallel(2)(task(note)(sys.argv[1]) for _ in range(int(sys.argv[3]))))
"""
FIT = """
import sys
import workers
from skcgcnn import CGCNNRegressor
from skcgcnn.datasets import load_sample_regression
crystals, y = load_sample_regression(return_X_y=True)
callbacks = [("note", workers.Note(sys.argv[1]))]
CGCNNRegressor(n_estimators=2, n_jobs=2, callbacks=callbacks).fit(crystals[:20], y[:20])
"""
NOTE = """
from skorch.callbacks import Callback
class Note(Callback):
    def __init__(self, folder):
        self.folder = folder
    def on_train_begin(self, net, **kwargs):
        note(self.folder)
"""
WORKERS = """
import os, time
from pathlib import Path
def note(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)
"""


def children(pid):
    found = Path("/proc", str(pid), "task").glob("*/children")
    return [int(word) for path in found for word in path.read_text().split()]


def ended(pid):
    try:
        # A process that nobody waited for is a zombie, which does nothing any more.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize(
    ("work", "backend", "n_tasks"),
    [
        (WORK, "loky", 4),
        (WORK, "multiprocessing", 4),
        (WORK, "loky", 1),
        pytest.param(FIT, "", 2, marks=pytest.mark.slow),
    ],
    ids=["loky-4", "multiprocessing-4", "loky-1", "ensemble"],
)
def test_workers_of_a_killed_process_end(work, backend, n_tasks, tmp_path):
    (tmp_path / "workers.py").write_text(WORKERS + NOTE * (work == FIT))
    (tmp_path / "pids").mkdir()
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", work, str(tmp_path / "pids"), backend, str(n_tasks)]
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while (
            len(list((tmp_path / "pids").iterdir())) < min(n_tasks, 2)
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        # Those that have nothing to do too.
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
    assert {int(path.name) for path in (tmp_path / "pids").iterdir()} <= set(workers)
    assert len(workers) >= 2
    deadline = time.monotonic() + 20
    while not all(map(ended, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(ended, workers))


def inner(number):
    return list(streaming_parallel(1)(task(abs)(-number) for _ in range(3)))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading", "sequential"])
def test_tasks_in_workers_of_others(backend):
    with parallel_config(backend=backend):
        found = Parallel(2)(delayed(inner)(number) for number in range(4))
        if backend in {"loky", "multiprocessing"}:
            time.sleep(2)  # longer than a worker looks for its parent
        assert Parallel(2)(delayed(inner)(number) for number in range(4)) == found
    assert found == [[number] * 3 for number in range(4)]


@pytest.mark.parametrize("ordered", [True, False])
def test_results_come_one_by_one_in_the_order_of_tasks_or_as_they_are_done(ordered):
    others_are_done = threading.Event()

    def work(number):
        if number == 0:
            others_are_done.wait(0.5 if ordered else 10)
        return number

    with parallel_config(backend="threading"):
        results = streaming_parallel(2, ordered=ordered)(task(work)(n) for n in range(4))
        found = []
        for number in results:
            found.append(number)
            if len(found) == 3:
                others_are_done.set()
    assert not isinstance(results, list)
    assert found == ([0, 1, 2, 3] if ordered else [1, 2, 3, 0])


class Whole(ThreadingBackend):
    """A backend that returns all results at once."""

    supports_return_generator = False


def test_a_backend_that_returns_all_results_at_once():
    register_parallel_backend("whole", Whole)
    with parallel_config(backend="whole", n_jobs=2):
        assert streaming_parallel(None)(task(abs)(-n) for n in range(3)) == [0, 1, 2]
        assert [streaming_parallel(n_jobs).n_jobs for n_jobs in (1, 3)] == [1, 3]
    for backend in ("loky", "threading", "sequential"):
        with parallel_config(backend=backend, n_jobs=2):
            assert [streaming_parallel(n_jobs).n_jobs for n_jobs in (1, 3)] == [1, 3]


def test_keywords_go_to_the_task():
    with parallel_config(backend="sequential"):
        calls = (task(int)(text, base=base) for text, base in (("11", 2), ("11", 8)))
        assert list(streaming_parallel(1)(calls)) == [3, 9]


def alive():
    return os.getpid()


def n_threads():
    time.sleep(0.05)
    return os.getpid(), threading.active_count()


def test_a_worker_looks_for_its_parent_once_however_many_tasks_it_has():
    with parallel_config(backend="loky"):
        found = list(streaming_parallel(2)(task(n_threads)() for _ in range(20)))
    by_worker = {}
    for worker, count in found:
        by_worker.setdefault(worker, []).append(count)
    assert os.getpid() not in by_worker
    for counts in by_worker.values():
        assert max(counts) - min(counts) <= 1


def test_a_task_in_its_own_process_watches_nobody():
    n_threads = threading.active_count()
    function, args, kwargs = task(alive)()
    assert function(*args, **kwargs) == os.getpid()
    assert threading.active_count() == n_threads
