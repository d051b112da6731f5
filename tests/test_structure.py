"""The structure of the library: directions of imports, sizes of files, shared descriptions."""

import ast
import contextlib
import importlib
import inspect
import pkgutil
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString

import skcgcnn
from skcgcnn import CGCNNClassifier, CGCNNMultiTask, CGCNNRegressor, CrystalGraphTransformer
from skcgcnn.estimators import BaseCGCNN

ROOT = Path(skcgcnn.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
HELPERS = {
    "_files",
    "_lazy",
    "_numbers",
    "_parallel",
    "_progress",
    "_recipes",
    "_sklearn",
    "_text",
    "_threads",
    "_version",
    "_warnings",
}
# A file may import from the folders and files that stand before its own.
LAYERS = [
    {"_text"},
    {"exceptions"},
    HELPERS,
    {"_declared"},
    {"_parameters"},
    {"_parameter_lists"},
    {"crystals", "datasets"},
    {"graphs", "vacancies"},
    {"features"},
    {"stores"},
    {"tasks"},
    {"nn"},
    {"modelfiles"},
    {"estimators"},
    {"export", "inspection", "metrics", "model_selection", "plotting"},
    {"quality"},
    {"reports"},
    {"training"},
    {"cli"},
    {"__init__", "__main__"},
]


def place(file):
    """Return the folder of a file, or its name where it stands at the top."""
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def layer(name):
    return next(i for i, names in enumerate(LAYERS) if name in names)


def imports(tree):
    """Yield the modules of this library that a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "skcgcnn":
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "skcgcnn")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file):
    own = place(file)
    for module in imports(ast.parse(file.read_text(encoding="utf-8"))):
        parts = module.split(".")[1:]
        assert parts, "imports skcgcnn itself"
        if parts[0] == own:
            continue
        assert layer(parts[0]) < layer(own), f"{own} imports {module}"
        private = [part for part in parts[1:] if part.startswith("_")]
        assert not private, f"{module} is private to its folder"


def test_workers_come_from_one_place():
    """Those of joblib alone would wait for ever for a parent that was killed."""
    users = [file.name for file in FILES if "joblib import Parallel" in file.read_text("utf-8")]
    assert users == ["_parallel.py"]


@pytest.mark.parametrize("folder", sorted({f.parent for f in FILES} - {ROOT}), ids=lambda f: f.name)
def test_files_of_a_folder_do_not_import_each_other_in_circles(folder):
    waiting = {}
    for file in folder.glob("_[a-z]*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found = [
            node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith(f"skcgcnn.{folder.name}.")
        ]
        waiting[file.stem] = {module.rpartition(".")[2] for module in found}
    while waiting:
        ready = {name for name, needs in waiting.items() if not needs & waiting.keys()}
        assert ready, f"a circle among {sorted(waiting)}"
        for name in ready:
            del waiting[name]


def test_no_file_is_too_long():
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert max(lengths.values()) <= 450, max(lengths, key=lengths.get)


def parameters(cls):
    doc = NumpyDocString(inspect.getdoc(cls))
    return {parameter.name: parameter for parameter in doc["Parameters"]}


ESTIMATORS = [CGCNNRegressor, CGCNNClassifier, CGCNNMultiTask]


@pytest.mark.parametrize("cls", [*ESTIMATORS, CrystalGraphTransformer])
def test_every_parameter_is_described_with_its_default(cls):
    described, signature = parameters(cls), inspect.signature(cls).parameters
    assert list(described) == list(signature) == list(cls._parameter_constraints)
    assert set(described) == set(cls().get_params())
    for name, parameter in signature.items():
        default = repr(parameter.default).replace("'", '"')
        assert described[name].type.endswith(f"default={default}"), name


def test_shared_parameters_have_one_description():
    first, *others = map(parameters, (CGCNNClassifier, CGCNNRegressor, CGCNNMultiTask))
    del first["class_weight"]
    for other in others:
        assert set(first) <= set(other)
        assert {name: other[name] for name in first} == first


def test_shared_attributes_have_one_description():
    docs = [NumpyDocString(inspect.getdoc(cls))["Attributes"] for cls in ESTIMATORS]
    tables = [{attribute.name: attribute for attribute in doc} for doc in docs]
    for name in set.intersection(*(set(table) for table in tables)):
        assert tables[0][name] == tables[1][name] == tables[2][name]


def test_the_lowest_versions_are_those_that_are_run():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = (root / "constraints-lowest.txt").read_text().splitlines()
    lowest = dict(line.split("==") for line in lines if "==" in line)
    for need in project["dependencies"] + project["optional-dependencies"]["test"]:
        name, bound = need.split(">=")
        assert lowest[name].split(".")[: len(bound.split("."))] == bound.split("."), name


def test_the_guide_says_when_to_set_each_parameter():
    page = (ROOT.parent / "docs" / "guide" / "parameters.rst").read_text(encoding="utf-8")
    for cls in ESTIMATORS:
        for name in inspect.signature(cls).parameters:
            assert f"``{name}``" in page, name


def test_the_base_class_calls_nothing_that_only_a_subclass_defines():
    source = (ROOT / "estimators" / "_base.py").read_text(encoding="utf-8")
    used = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    # What a fit learns ends with an underscore.
    missing = {name for name in used if not hasattr(BaseCGCNN, name) and not name.endswith("_")}
    assert not missing
    assert BaseCGCNN.__abstractmethods__ == {"_encode"}


def dataclasses_here():
    """Return the dataclasses of the library."""
    found = set()
    for module in pkgutil.walk_packages(skcgcnn.__path__, "skcgcnn."):
        if module.name == "skcgcnn.__main__":
            continue
        with contextlib.suppress(ImportError):  # of packages that are not installed
            own = vars(importlib.import_module(module.name)).values()
            found |= {each for each in own if inspect.isclass(each) and is_dataclass(each)}
    return {each for each in found if each.__module__.startswith("skcgcnn.")}


def test_what_is_found_cannot_be_changed_and_is_compared_as_a_whole():
    # What is filled step by step.
    changed = {"Bonds", "NewData", "TrainBatch", "Marks", "_Seen"}
    for cls in dataclasses_here():
        is_made_of_parameters = (
            hasattr(cls, "get_params") or cls.__module__ == "skcgcnn._parameters"
        )
        is_splitter = cls.__module__ == "skcgcnn.model_selection._splitters"
        expected = not (is_made_of_parameters or is_splitter or cls.__name__ in changed)
        assert cls.__dataclass_params__.frozen == expected, cls
        # Arrays have no truth value: comparing them one by one would end in an error.
        if any("ndarray" in str(each.type) for each in fields(cls)):
            assert cls.__eq__ is object.__eq__, cls
