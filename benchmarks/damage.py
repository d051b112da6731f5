"""Count what becomes of damaged CIFs, and of stores on full disks, replaced, or killed half way.

Usage: ``python benchmarks/damage.py [--damaged 2000] [--kills 20] [--full 20] [--rounds 200]
[--seed 0]``. It needs nothing but the bundled crystals, and Linux. A damaged CIF is a bundled one
with one to three mutations. It counts as refused if the message is that of a `StructureError`, as a
bare error if it is any other, and as a hang if it takes more than 20 s. A killed run is ``skcgcnn
featurize`` with two workers that gets SIGKILL at a random time; then the store must be complete or
not there, no worker may be left after 5 s, and the repeated command must make the same bytes as a
run that nobody killed, and nothing else. A full disk is a random limit of the size of files, under
which a store is replaced: the command must say so, and the old store must be whole. Readings are of
a folder of graphs that another process replaces as fast as it can: ids and distances must belong
together.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import keep, seconds, table

from skcgcnn import CrystalGraphs, CrystalGraphTransformer
from skcgcnn.datasets import load_sample_regression
from skcgcnn.exceptions import StructureError
from skcgcnn.graphs import INDEX
from skcgcnn.stores import featurize, open_store

LONGEST = 20
ORPHANED = 30
WORDS = ("nan", "inf", "-1", "0", "1e308", "1e-308", "?", ".", "", "'", '"', ";", "loop_", "data_")


class Hang(BaseException):
    """Reading takes too long; no handler of errors catches it."""


def truncate(text: str, chance: random.Random) -> str:
    """Return the beginning of a text."""
    return text[: chance.randrange(len(text))]


def without_a_line(text: str, chance: random.Random) -> str:
    """Return a text without one line."""
    lines = text.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return "".join(lines)


def line_twice(text: str, chance: random.Random) -> str:
    """Return a text with one line written twice."""
    lines = text.splitlines(keepends=True)
    place = chance.randrange(len(lines))
    return "".join([*lines[:place], lines[place], *lines[place:]])


def two_lines_swapped(text: str, chance: random.Random) -> str:
    """Return a text with two lines in each other's place."""
    lines = text.splitlines(keepends=True)
    a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return "".join(lines)


def other_character(text: str, chance: random.Random) -> str:
    """Return a text with one character replaced by any other."""
    place = chance.randrange(len(text))
    return text[:place] + chr(chance.randrange(1, 256)) + text[place + 1 :]


def other_word(text: str, chance: random.Random) -> str:
    """Return a text with one word replaced by what numbers and keywords can go wrong to."""
    words = text.split(" ")
    words[chance.randrange(len(words))] = chance.choice(WORDS)
    return " ".join(words)


def noise(text: str, chance: random.Random) -> str:
    """Return a text with some random characters in it."""
    place = chance.randrange(len(text))
    return text[:place] + "".join(map(chr, chance.choices(range(256), k=20))) + text[place:]


MUTATIONS: tuple[Callable[[str, random.Random], str], ...] = (
    *(truncate, without_a_line, line_twice, two_lines_swapped),
    *(other_character, other_word, noise),
)


def read_damaged(count: int, chance: random.Random, folder: Path) -> dict[str, int]:
    """Return what became of damaged CIFs."""
    bundled = [Path(path).read_text() for path in load_sample_regression().data]
    found: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, hang)
    for number in range(count):
        text = chance.choice(bundled)
        for _ in range(chance.randint(1, 3)):
            text = chance.choice(MUTATIONS)(text or "\n", chance)
        path = folder / f"{number}.cif"
        path.write_text(text)
        signal.alarm(LONGEST)
        try:
            CrystalGraphTransformer().transform([path])
            outcome = "read"
        except StructureError:
            outcome = "refused"
        except Hang:
            outcome = "hang"
        except Exception:  # noqa: BLE001 - it is what is looked for
            outcome = "bare error"
            traceback.print_exc()
        finally:
            signal.alarm(0)
        found[outcome] += 1
        if outcome in {"hang", "bare error"}:
            print(f"{outcome}:\n{text}", file=sys.stderr)
    return dict(found)


def hang(*_: Any) -> None:
    """Interrupt what takes too long."""
    raise Hang


def kill(count: int, chance: random.Random, folder: Path) -> dict[str, int]:
    """Return what became of stores whose making was killed."""
    source = folder / "cifs"
    source.mkdir()
    for number in range(8):
        for path in map(Path, load_sample_regression().data):
            (source / f"{number}-{path.name}").symlink_to(path)
    whole = folder / "whole"
    longest = seconds(lambda: start(source, whole).wait())
    expected, found = contents(whole), Counter[str]()
    for number in range(count):
        store = folder / f"store{number}"
        process = start(source, store)
        time.sleep(chance.uniform(0, longest))
        own = workers(process.pid)
        found["done before" if process.poll() is not None else "killed"] += 1
        process.kill()
        process.wait()
        # One that is not complete is refused, and says so.
        found["damaged stores"] += (store / INDEX).exists() and not is_whole(store, expected)
        deadline = time.monotonic() + ORPHANED
        while any(map(is_alive, own)) and time.monotonic() < deadline:
            time.sleep(0.5)
        found["workers left"] += sum(map(is_alive, own))
        start(source, store).wait()  # a complete store is refused, and tidied up
        found["other stores after repeating"] += contents(store) != expected
    return dict(found)


def fill(count: int, chance: random.Random, folder: Path) -> dict[str, int]:
    """Return what became of stores that were replaced where there was no room."""
    source, store, found = folder / "few", folder / "full", Counter[str]()
    source.mkdir()
    for path in map(Path, load_sample_regression().data[:30]):
        (source / path.name).symlink_to(path)
    featurize(source, store)
    expected = contents(store)
    (source / path.name).unlink()  # the new store is another one
    command = [sys.executable, "-m", "skcgcnn", "featurize", str(source), "-o", str(store)]
    for _ in range(count):
        limit = chance.randrange(100, 4_000)
        ended = subprocess.run(
            [*command, "--overwrite", "-q"],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),  # noqa: B023
        )
        said = ended.returncode == 2 and "no space left on the disk" in ended.stderr
        found["said so" if said else "went through" if not ended.returncode else "bare error"] += 1
        found["damaged stores"] += not (is_whole(store, expected) or ended.returncode == 0)
        if ended.returncode == 0:
            break
    return dict(found)


WRITE = """
import sys
from pathlib import Path
from skcgcnn import CrystalGraphs
both = [CrystalGraphs.load(path) for path in sys.argv[2:]]
while Path(sys.argv[2]).exists():
    for graphs in both:
        graphs.save(sys.argv[1])
"""


def replace(rounds: int, folder: Path) -> dict[str, int]:
    """Return what was read of graphs that another process replaces."""
    cifs, found, sums = load_sample_regression().data, Counter[str](), {}
    paths = [folder / "a.npz", folder / "b.npz"]
    for path, some in zip(paths, (cifs[:10], cifs[10:30]), strict=True):
        graphs = CrystalGraphTransformer().transform(some)
        graphs.save(path)
        sums[tuple(graphs.ids.tolist())] = float(graphs.distances.sum())
    graphs.save(folder / "graphs")
    command = [sys.executable, "-c", WRITE, *map(str, (folder / "graphs", *paths))]
    with subprocess.Popen(command) as writer:
        for number in range(rounds):
            graphs = CrystalGraphs.load(folder / "graphs", mmap=bool(number % 2))
            time.sleep(0.02)
            whole = sums.get(tuple(graphs.ids.tolist())) == float(graphs.distances.sum())
            found[f"{len(graphs)} crystals" if whole else "mixtures"] += 1
        paths[0].unlink()
        writer.wait()
    return dict(found)


def start(source: Path, store: Path) -> subprocess.Popen[bytes]:
    """Start to make a store."""
    command = [sys.executable, "-m", "skcgcnn", "featurize", str(source), "-o", str(store)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, "-j", "2", "-q"], **quiet)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def is_whole(store: Path, expected: dict[str, bytes]) -> bool:
    """Tell whether a store has all that it should have; it may have leftovers beside."""
    try:
        open_store(store)
    except ValueError:
        return False
    found = contents(store)
    return all(found.get(name) == content for name, content in expected.items())


def workers(parent: int) -> list[int]:
    """Return the processes that a process started."""
    found = Path("/proc", str(parent), "task").glob("*/children")
    return [int(word) for path in found for word in path.read_text().split()]


def is_alive(pid: int) -> bool:
    """Tell whether a process still runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def main() -> None:
    """Damage, kill, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damaged", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--full", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    chance = random.Random(arguments.seed)  # noqa: S311 - not for secrets
    with TemporaryDirectory() as folder:
        read = read_damaged(arguments.damaged, chance, Path(folder))
        killed = kill(arguments.kills, chance, Path(folder))
        full = fill(arguments.full, chance, Path(folder))
        replaced = replace(arguments.rounds, Path(folder))
    outcomes = ("refused", "read", "bare error", "hang")
    states = ("killed", "damaged stores", "workers left", "other stores after repeating")
    ends = ("said so", "went through", "bare error", "damaged stores")
    seen = ("10 crystals", "20 crystals", "mixtures")
    keep(
        "damage",
        "Damaged CIFs, killed runs, full disks and replaced graphs",
        [
            table(
                ["damaged CIFs", *outcomes],
                [[arguments.damaged, *(read.get(n, 0) for n in outcomes)]],
            ),
            table(["kills", *states], [[arguments.kills, *(killed.get(n, 0) for n in states)]]),
            table(["full disks", *ends], [[arguments.full, *(full.get(n, 0) for n in ends)]]),
            table(["readings", *seen], [[arguments.rounds, *(replaced.get(n, 0) for n in seen)]]),
        ],
        {
            "seed": arguments.seed,
            "damaged": read,
            "kills": killed,
            "full": full,
            "replaced": replaced,
        },
    )


if __name__ == "__main__":
    main()
