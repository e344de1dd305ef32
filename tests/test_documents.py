"""What documents and code say of one another is true: sections, runbooks, links, error codes."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from infra.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
CODE = sorted(
    path
    for package in ("mpc_core", "workflows", "activities", "infra")
    for path in (ROOT / package).rglob("*.py")
)
RUNBOOKS = ROOT / "runbooks"
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "SECURITY.md",
        ROOT / "CHANGELOG.md",
        ROOT / "mpc_core" / "PROTOCOL.md",
        *RUNBOOKS.rglob("*.md"),
    ]
)
PROTOCOL_SECTIONS = [
    "Model",
    "Rings and sharings",
    "PRSS keys",
    "Zero masks",
    "Opening a batch",
    "Preprocessing",
    "Random bits",
    "Noise",
    "Products",
    "Stages and sealing",
    "Assembly",
    "Recovery and destruction",
    "Costs",
    "More operators",
    "What this release does not do yet",
]

TITLE = r"""\\?["'](?:[^"'\\]+)\\?["']"""
REFERENCE = re.compile(rf"PROTOCOL\.md((?:,? (?:and |or |to )?{TITLE})+)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NUMBERED = re.compile(r"PROTOCOL\.md,? +(?:sections? +)?[0-9§]")
CODE_SPAN = re.compile(r"`([^`]+)`|^(?:    )+ *(\S.*)$", flags=re.MULTILINE)
COMMAND = re.compile(r"ringforge( +(?:[a-z]|--).*)")
ERROR_CODE = re.compile(r"RF-[A-Z]+-[0-9]{3}")


def _commands(text: str) -> list[list[str]]:
    """Return the words after `ringforge` in every command of a document."""
    spans = (" ".join((span or line).split()) for span, line in CODE_SPAN.findall(text))
    found = (COMMAND.search(span) for span in spans)
    return [match[1].partition(" #")[0].split() for match in found if match]


def _unknown_words(words: list[str]) -> list[str]:
    """Return the subcommands and options of a command that the program does not have."""
    command = typer.main.get_command(app)
    while (below := getattr(command, "commands", None)) and words and words[0][0] != "-":
        if words[0] not in below:
            return words[:1]
        command, words = below[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    options = [word.partition("=")[0].strip("[],;.") for word in words if word.startswith("--")]
    return [option for option in options if option not in known]


def _headings(text: str) -> list[str]:
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#{1,6} +(.+?) *$", without_code, flags=re.MULTILINE)


def _flowing(text: str) -> str:
    """Join lines, so that a reference may be broken anywhere, in a docstring or a comment."""
    return re.sub(r"\s*\n\s*(?:#:?\s*)?", " ", text)


def _references(text: str) -> list[str]:
    return [
        title.strip("\\\"'")
        for match in REFERENCE.finditer(_flowing(text))
        for title in re.findall(TITLE, match[1])
    ]


def _strings(node: ast.AST) -> list[str]:
    return [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value
    ]


def _runbooks_of(source: str) -> set[str]:
    """Return every page that code names: as argument, as default, or through a constant."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    values: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "runbook":
            values += [node.value]
            values += [
                constants[part.id]
                for part in ast.walk(node.value)
                if isinstance(part, ast.Name) and part.id in constants
            ]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            positional = [*node.args.posonlyargs, *node.args.args]
            last = positional[len(positional) - len(node.args.defaults) :]
            defaults = [
                *zip(last, node.args.defaults, strict=True),
                *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
            ]
            values += [
                default for argument, default in defaults if argument.arg == "runbook" and default
            ]
    return {name for value in values for name in _strings(value)}


def test_the_protocol_has_the_sections_that_code_refers_to_by_title() -> None:
    headings = _headings((ROOT / "mpc_core" / "PROTOCOL.md").read_text())
    assert [heading for heading in headings if heading in PROTOCOL_SECTIONS] == PROTOCOL_SECTIONS


def test_every_reference_to_the_protocol_names_one_of_its_sections() -> None:
    headings = set(_headings((ROOT / "mpc_core" / "PROTOCOL.md").read_text()))
    references = {path: _references(path.read_text()) for path in CODE}
    wrong = {
        str(path.relative_to(ROOT)): sorted(set(titles) - headings)
        for path, titles in references.items()
        if set(titles) - headings
    }
    assert not wrong
    assert sum(map(len, references.values())) > 10


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ('(PROTOCOL.md, "PRSS keys").', ["PRSS keys"]),
        ('PROTOCOL.md, "Model" and "Zero masks"', ["Model", "Zero masks"]),
        ('see PROTOCOL.md,\n    "Opening\n    a batch", steps 4 to 7', ["Opening a batch"]),
        ('# PROTOCOL.md, "Opening\n# a batch"', ["Opening a batch"]),
        (r'"text (PROTOCOL.md, \"Costs\")"', ["Costs"]),
        ("PROTOCOL.md says so", []),
    ],
)
def test_a_reference_is_found_however_its_lines_are_broken(text: str, titles: list[str]) -> None:
    assert _references(text) == titles


def test_no_reference_names_a_section_by_number() -> None:
    numbered = [
        str(path.relative_to(ROOT)) for path in CODE if NUMBERED.search(_flowing(path.read_text()))
    ]
    assert not numbered


def test_every_runbook_that_an_error_names_exists() -> None:
    named = {
        name: str(path.relative_to(ROOT))
        for path in CODE
        for name in _runbooks_of(path.read_text())
    }
    missing = {name: where for name, where in named.items() if not _page(name).is_file()}
    assert not missing
    assert named


@pytest.mark.parametrize(
    "source",
    [
        'raise E("RF-X-001", runbook="page")',
        'PAGE = "page"\nraise E(runbook=PAGE)',
        'raise E(runbook="page" if full else "")',
        'def error(subject, *, runbook="page"): ...',
        'def error(subject, runbook="page"): ...',
    ],
)
def test_a_runbook_is_found_however_code_names_it(source: str) -> None:
    assert _runbooks_of(source) == {"page"}


def test_every_runbook_is_in_the_index() -> None:
    index = (RUNBOOKS / "README.md").read_text()
    linked = set(LINK.findall(index))
    assert {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_of_the_repository_leads_somewhere(document: Path) -> None:
    targets = [
        target.partition("#")[0]
        for target in LINK.findall(document.read_text())
        if not re.match(r"[a-z]+:", target)
    ]
    assert [
        target for target in targets if target and not (document.parent / target).exists()
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_error_code_of_a_document_is_one_that_code_can_raise(document: Path) -> None:
    raised = {code for path in CODE for code in ERROR_CODE.findall(path.read_text())}
    assert set(ERROR_CODE.findall(document.read_text())) <= raised


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_document_is_one_that_the_program_has(document: Path) -> None:
    commands = _commands(document.read_text())
    assert [words for words in commands if _unknown_words(words)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run `uv run ringforge sandbox --id X`", ["sandbox", "--id", "X"]),
        ("break `ringforge\nverify DIR`", ["verify", "DIR"]),
        ("text\n\n    ringforge bench --json   # figures\n", ["bench", "--json"]),
    ],
)
def test_a_command_is_found_in_text_and_in_blocks(text: str, words: list[str]) -> None:
    assert _commands(text) == [words]
    assert not _unknown_words(words)


@pytest.mark.parametrize("command", ["sandbx", "operator walk", "verify --plan", "bench --fast=1"])
def test_a_command_that_the_program_lacks_is_noticed(command: str) -> None:
    assert _unknown_words(command.split())


def test_the_changelog_describes_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[([0-9.]+)\]", changelog, flags=re.MULTILINE)
    assert versions[0] == project["version"]


def test_the_licence_is_the_one_that_the_project_states() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def _page(name: str) -> Path:
    return RUNBOOKS / f"{name}.md"
