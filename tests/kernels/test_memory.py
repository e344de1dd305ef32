"""Arrays of a kernel's own live as long as somebody works on their addresses."""

import ast
from pathlib import Path

import pytest

import mpc_core.kernels

SOURCES = sorted(Path(mpc_core.kernels.__path__[0]).glob("*.py"))
LOOPS = (ast.For, ast.While)


def own_arrays(function):
    """Yield the names that the function gives to arrays it makes."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = ast.unparse(node.value.func)
            if made in {"np.empty", "np.zeros"}:
                yield from (t.id for t in node.targets if isinstance(t, ast.Name))


def is_kernel(function):
    return any("njit" in ast.unparse(decorator) for decorator in function.decorator_list)


def addresses_taken_before_a_loop(function):
    """Yield the names whose address is taken outside loops, in functions that have one."""
    body = function.body
    last_loop = max((at for at, node in enumerate(body) if isinstance(node, LOOPS)), default=-1)
    for at, statement in enumerate(body[: last_loop + 1]):
        if isinstance(statement, LOOPS):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(".ctypes.data"):
                yield at, last_loop, ast.unparse(node).split(".")[0].split("[")[0]


def unkept(source):
    """Return the arrays of a module's kernels that are freed while their address is in use."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef) or not is_kernel(function):
            continue
        own = set(own_arrays(function))
        for _, last_loop, name in addresses_taken_before_a_loop(function):
            after = "\n".join(map(ast.unparse, function.body[last_loop + 1 :]))
            if name in own and f"keep({name})" not in after:
                found.append(f"{function.name}: {name}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_an_array_is_kept_while_its_address_is_used(path):
    assert unkept(path.read_text()) == []


def test_an_array_that_is_not_kept_is_found():
    kernel = """
@njit
def add(count):
    work = np.empty(8, np.uint64)
    at = uint64(work.ctypes.data)
    for _ in range(count):
        use(at)
    {}
"""
    assert unkept(kernel.format("pass")) == ["add: work"]
    assert unkept(kernel.format("keep(work)")) == []
