"""What ``import dynamics`` gives, and what is said of it."""

import doctest
import importlib.metadata
import inspect
import re
import subprocess
import sys

import pytest

import dynamics


def test_the_version_is_that_of_the_installed_package() -> None:
    assert dynamics.__version__ == importlib.metadata.version("attention-dynamics")
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", dynamics.__version__)


def test_dir_lists_the_public_names_and_nothing_else() -> None:
    assert dir(dynamics) == sorted([*dynamics.__all__, "__version__"])
    assert list(dynamics.__all__) == sorted(set(dynamics.__all__))


def test_star_brings_every_public_name() -> None:
    brought: dict[str, object] = {}
    exec("from dynamics import *", brought)
    assert brought.keys() - {"__builtins__"} == set(dynamics.__all__)


def test_what_does_not_exist_is_said_as_python_says_it() -> None:
    with pytest.raises(AttributeError, match="module 'dynamics' has no attribute 'forecasts'"):
        _ = dynamics.forecasts


def test_import_loads_nothing_heavy() -> None:
    heavy = "numba", "numpy", "scipy", "sympy", "xarray", "matplotlib"
    code = f"import sys, dynamics; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", dynamics.__all__)
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    public = getattr(dynamics, name)
    assert public.__module__.startswith("dynamics."), "a name of ours"
    assert inspect.getdoc(public) == inspect.cleandoc(public.__doc__ or ""), f"{name} has no docstring of its own"
    module = sys.modules[public.__module__]
    # Where it is defined: a lazily imported name is found by no doctest of its package.
    tests = doctest.DocTestFinder(recurse=False).find(public, name, module=module, globs=vars(module).copy())
    assert sum(len(test.examples) for test in tests), f"{name} has no example"


@pytest.mark.parametrize("name", dynamics.__all__)
def test_every_public_name_is_the_one_that_type_checkers_see(name: str) -> None:
    """The names for type checkers stand apart from those that are looked up."""
    source = inspect.getsource(dynamics)
    head, _, _ = source.partition("_HOMES = ")
    public = getattr(dynamics, name)
    imports = re.findall(r"^    from (dynamics\.[\w.]+) import (.*)$", head, re.MULTILINE)
    homes = {
        known.split(" as ")[-1].strip(): (module, known.split(" as ")[0].strip())
        for module, names in imports
        for known in names.split(",")
    }
    module, own = homes[name]
    assert getattr(sys.modules[module], own) is public
