"""The documentation says what there is: no setting, error, metric or option is missing from it, and none is invented."""

import argparse
import ast
import dataclasses
import inspect
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bot import settings
from bot.__main__ import _COMMANDS, _parser
from bot.adapters.telemetry import METRICS
from bot.domain.report import Confidence
from bot.evidence import score
from bot.reasoning import scoping
from bot.settings import read_settings
from bot.workflows import changes, investigate, logs, looking, metrics

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "docs" / "configuration.md"
ERRORS = ROOT / "docs" / "errors.md"
COMMANDS = ROOT / "docs" / "commands.md"
EVIDENCE = ROOT / "docs" / "evidence.md"
OPERATE = ROOT / "docs" / "operate.md"

# The heading in docs/configuration.md and the settings whose keys its table lists.
TABLES: Mapping[str, type] = {
    "Top level": settings.File,
    "Every source": settings.SourceSettings,
    "`[[prometheus]]`": settings.PrometheusSettings,
    "`[[loki]]`": settings.LokiSettings,
    "`explore` of a source": settings.ExploreSettings,
    "`[[git]]`": settings.GitSettings,
    "`[services.NAME]`": settings.ServiceSettings,
    "`[access]`": settings.AccessSettings,
}
TYPES = {
    str: "string",
    int: "integer",
    bool: "boolean",
    tuple[str, ...]: "list of strings",
    Mapping[str, str]: "table of strings",
}


@pytest.mark.parametrize(("heading", "kind"), TABLES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_key_of_the_file_is_documented_and_none_is_invented(heading: str, kind: type) -> None:
    rows = table_under(CONFIGURATION, heading)

    assert rows.keys() == keys_of(kind).keys()


@pytest.mark.parametrize(("heading", "kind"), TABLES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_types_defaults_and_meanings_of_keys_are_those_of_the_code(heading: str, kind: type) -> None:
    for key, cells in table_under(CONFIGURATION, heading).items():
        field = keys_of(kind)[key]

        assert cells[2] == field.metadata["help"], key
        if field.type in TYPES:
            assert cells[0] == TYPES[field.type], key
            assert cells[1] == shown_default(field.default), key


def test_every_environment_variable_is_documented_and_none_is_invented() -> None:
    documented = {name: cells[2] for name, cells in table_under(CONFIGURATION, "Environment").items()}
    read = {f.metadata["env"]: f.metadata["help"] for f in dataclasses.fields(settings.Settings) if "env" in f.metadata}

    assert documented == read


def test_every_key_of_the_file_has_an_effect() -> None:
    readers = [ROOT / "bot" / "wiring.py", *(ROOT / "bot" / "cli").glob("*.py")]
    text = "".join(path.read_text() for path in readers) + inspect.getsource(settings.password_of)

    unread = [key for kind in TABLES.values() for key in keys_of(kind) if not re.search(rf"\.{key}\b", text)]

    assert unread == []


def test_the_environment_example_names_only_variables_that_exist() -> None:
    named = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert named <= {f.metadata["env"] for f in dataclasses.fields(settings.Settings) if "env" in f.metadata}


def test_every_toml_example_is_a_configuration_groundwire_accepts(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", CONFIGURATION.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) > 3
    for number, example in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(example)

        accepted = read_settings({"GROUNDWIRE_CONFIG": str(file)}, working_directory=tmp_path)

        assert tomllib.loads(example)
        assert accepted.file.prometheus or accepted.file.loki


def test_every_error_code_is_documented_and_none_is_invented() -> None:
    documented = re.findall(r"^\| `([A-Z]{3}-\d{3})` \|", ERRORS.read_text(), re.MULTILINE)

    assert set(documented) == codes_in_the_code()
    assert len(documented) == len(set(documented)), "a code is documented twice"


def test_every_error_has_a_meaning_and_a_remedy_under_its_category() -> None:
    category = ""
    for line in ERRORS.read_text().splitlines():
        if line.startswith("## "):
            category = line[3:6]
        elif line.startswith("| `"):
            code, meaning, remedy = cells_of(line)
            assert code.strip("`").startswith(f"{category}-")
            assert meaning
            assert remedy


def test_a_metric_is_said_to_be_unused_exactly_while_nothing_counts_it() -> None:
    product = "".join(
        path.read_text()
        for folder in ("bot", "handlers")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "telemetry.py"
    )
    unused = {metric.name for metric in METRICS if f'"{metric.name}"' not in product}

    said = {name for name, cells in table_under(OPERATE, "Metrics").items() if "Not counted yet" in cells[1]}

    assert said == unused


def test_every_dependency_has_its_reason_and_none_is_left_over() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    page = (ROOT / "docs" / "decisions" / "0012-dependencies.md").read_text()

    reasoned = re.findall(r"^\| `([\w-]+)` \| \w", page, re.MULTILINE)

    assert sorted(reasoned) == sorted(re.split(r"[<>=~\[]", name)[0] for name in wanted)


def test_every_decision_is_listed_and_has_its_four_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))

    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text()) == pages
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    for name in pages:
        parts = re.findall(r"^\*\*(\w+)\.\*\*", (folder / name).read_text(), re.MULTILINE)
        assert parts == ["Context", "Decision", "Rejected", "Consequences"], name


def test_limits_in_the_evidence_page_are_those_of_the_code() -> None:
    documented = [int(cells[0].replace(",", "")) for cells in rows_under(EVIDENCE, "Limits")]

    assert documented == [
        metrics.LOOKS_MAX,
        looking.LOOKS_AT_ONCE,
        looking.LOOK_TIMEOUT_S,
        investigate.METRICS_S,
        investigate.INVESTIGATION_S,
        scoping.NEIGHBOURS_MAX,
        logs.SERVICES_READ,
        logs.LOUD_LINES,
        logs.QUIET_LINES,
        logs.BYTES_MAX,
        changes.CHANGES_MAX,
    ]


def test_thresholds_in_the_evidence_page_are_those_of_the_code() -> None:
    page = " ".join(EVIDENCE.read_text().split())

    assert f"Below {score.ALARM:g} scales the strength is 0" in page
    assert f"At {score.CLEAR:g} scales it is 1" in page
    assert (score.MATERIAL_SHARE, score.MATERIAL_RATIO) == (0.10, 0.01)
    assert "under a tenth of the level, or under one percentage point" in page
    assert (scoping.BASELINE_MIN_S, scoping.BASELINE_MAX_S) == (3600, 6 * 3600)
    assert "at least one hour and at most six" in page
    assert all(f"{confidence.value} |" in page for confidence in Confidence)


def test_every_metric_is_documented_with_its_labels_and_none_is_invented() -> None:
    documented = {name: cells[0] for name, cells in table_under(OPERATE, "Metrics").items()}

    assert documented == {metric.name: ", ".join(f"`{label}`" for label in metric.labels) for metric in METRICS}


def test_every_command_is_documented_and_none_is_invented() -> None:
    documented = re.findall(r"^## `groundwire ([a-z]+)", COMMANDS.read_text(), re.MULTILINE)

    assert sorted(documented) == sorted(_COMMANDS)


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_every_option_of_a_command_is_documented_and_none_is_invented(command: str) -> None:
    section = section_of(COMMANDS, rf"`groundwire {command}[^\n]*`")
    documented = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))

    assert documented == options_of(command) - {"--help"}


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        linked = (page.parent / path) if path else page

        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in {anchor_of(line) for line in linked.read_text().splitlines() if line.startswith("#")}, (
                target
            )


def test_file_names_in_the_architecture_page_exist() -> None:
    named = re.findall(
        r"`((?:bot|handlers|tests|deploy|docs)/[\w./-]+)`", (ROOT / "docs" / "architecture.md").read_text()
    )
    assert len(named) > 20
    for name in named:
        assert (ROOT / name).exists(), name


def test_no_tracked_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    # Put together here, so that this file does not name them either.
    registry = re.compile(r"\b(files\.pythonhosted|test\.pypi|pypi)\.org|registry\.n" + r"pmjs|\bcrates\." + r"io\b")
    machine = re.compile(r"(?<![\w.$])/(work|home/(?!groundwire\b)\w+|Users|root)/\w")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked_text_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if registry.search(line) or machine.search(line)
    ]

    assert found == []


def table_under(page: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading: the first cell without its backticks, and the others."""
    rows = [cells_of(line) for line in section_of(page, re.escape(heading)).splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def rows_under(page: Path, heading: str) -> list[list[str]]:
    """The rows of the table under a heading without their first cells."""
    lines = [line for line in section_of(page, re.escape(heading)).splitlines() if line.startswith("|")]
    return [cells_of(line)[1:] for line in lines[2:]]


def section_of(page: Path, heading: str) -> str:
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no section {heading}"
    return found.group(1)


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def keys_of(kind: type) -> "dict[str, dataclasses.Field[object]]":
    """The settings of a table; those every source has are listed once."""
    shared = (
        {f.name for f in dataclasses.fields(settings.SourceSettings)} if kind is not settings.SourceSettings else set()
    )
    inherits = issubclass(kind, settings.SourceSettings)
    return {f.name: f for f in dataclasses.fields(kind) if not (inherits and f.name in shared)}


def shown_default(value: object) -> str:
    """A default as the tables write it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple) and value:
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, str | int):
        return f"`{value}`" if value != "" else ""
    return "none"


def codes_in_the_code() -> set[str]:
    """Every error code in a string of the product that is not a docstring."""
    categories = "|".join(re.findall(r"^## ([A-Z]{3}):", ERRORS.read_text(), re.MULTILINE))
    code = re.compile(rf"\b(?:{categories})-\d{{3}}\b")
    return {
        found
        for folder in ("bot", "handlers")
        for path in (ROOT / folder).rglob("*.py")
        for text in strings_in(ast.parse(path.read_text()))
        for found in code.findall(text)
    }


def strings_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None  # a docstring
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_errors_are_only_raised_with_a_code_of_a_documented_category() -> None:
    categories = set(re.findall(r"^## ([A-Z]{3}):", ERRORS.read_text(), re.MULTILINE))
    for folder in ("bot", "handlers"):
        for path in (ROOT / folder).rglob("*.py"):
            for text in strings_in(ast.parse(path.read_text())):
                if re.fullmatch(r"[A-Z]{3}-\d{3}", text):
                    assert text[:3] in categories, f"{path}: {text}"


def options_of(command: str) -> set[str]:
    actions = _parser()._subparsers
    assert actions is not None
    commands = next(a for a in actions._actions if isinstance(a, argparse._SubParsersAction))
    parser: argparse.ArgumentParser = commands.choices[command]
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


def anchor_of(heading: str) -> str:
    """The anchor a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def tracked_text_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git clone, so nothing tells which files belong to it")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4000]]
