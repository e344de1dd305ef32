"""The table of the assurance case says what is so: functions, tests, and every adversary."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from mpc_core.adversary.registry import ADVERSARIES, FALSE_ENCLAVES

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 7
CODE = re.compile(r"`([^`]+)`")
CLAIMS = {"harmless", "survived", "attributed"}


def rows() -> list[list[str]]:
    lines = (ROOT / "runbooks" / "assurance-case.md").read_text().splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    return [row for row in cells if row[1] not in {"step", "---"}]


ROWS = rows()
NAMES = [row[0].strip("`") for row in ROWS]


def the_code_in(cell: str) -> str:
    (name,) = CODE.findall(cell)
    return name


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_every_row_makes_a_whole_argument(row: list[str]) -> None:
    assert len(row) == COLUMNS
    assert all(row)
    assert row[3] in CLAIMS


def test_every_claim_has_an_id_of_its_own() -> None:
    ids = [row[0].partition(" ")[0] for row in ROWS]
    assert len(set(ids)) == len(ids)
    numbered = [each for each in ids if not CODE.fullmatch(each)]
    assert all(re.fullmatch("[A-Z]-[0-9]{2}", each) for each in numbered)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_every_row_names_a_function_that_exists(row: list[str]) -> None:
    parts = the_code_in(row[5]).split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            found = getattr(found, part)
        assert callable(found)
        return
    pytest.fail(f"no module in {'.'.join(parts)}")


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_every_row_names_a_test_that_exists(row: list[str]) -> None:
    path, _, name = the_code_in(row[6]).partition("::")
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}
    assert name.startswith("test_")


def test_every_adversary_of_the_drills_is_in_the_table_as_it_is() -> None:
    table = {the_code_in(row[0]): tuple(row[1:4]) for row in ROWS if CODE.fullmatch(row[0])}
    registered = {
        name: (each.step, each.stage, str(each.outcome))
        for name, each in {**ADVERSARIES, **FALSE_ENCLAVES}.items()
    }
    assert table == registered
