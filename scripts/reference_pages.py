"""MkDocs hook: pages of the reference that are generated from the code whenever the site is built."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

REPOSITORY = Path(__file__).parents[1]
# MkDocs imports a hook by its path.
sys.path.insert(0, str(REPOSITORY))

from scripts.declared_fields import declared_fields, named_types  # noqa: E402

# Rooms of the plugin that other DAGs may use.
PLUGIN_ROOMS = ("operators", "sensors", "triggers", "hooks")
# What is collected, by its name in prometheus_client: the type, and what is added to the name.
METRIC_TYPES = {
    "Counter": ("counter", "_total"),
    "Gauge": ("gauge", ""),
    "Histogram": ("histogram", ""),
    "Metric": ("gauge", ""),
}
# What only the validation of a type needs.
VALIDATORS = re.compile(r", (?:AfterValidator|BeforeValidator)\(\w+\)|, Field\(discriminator='\w+'\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace a folder in the navigation by its pages, in order of their names."""
    for entry in config.nav or []:
        for title, target in entry.items():
            if isinstance(target, str) and target.endswith("/"):
                pages = sorted((Path(config.docs_dir) / target).glob("*.md"))
                entry[title] = [f"{target}{path.name}" for path in pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, write in PAGES.items():
        files.append(File.generated(config, name, content=write()))
    return files


def declarations_page() -> str:
    """Return the classes that a team declares with: docstring, fields, and the types that these name."""
    import include.declarations as declarations

    public = [getattr(declarations, name) for name in declarations.__all__]
    base = declarations.Declaration
    sections = []
    types: dict[str, str] = {}
    for item in public:
        if not inspect.isclass(item) or not issubclass(item, base) or item == base:
            continue
        fields = [field for field in declared_fields(item) if field.name != "kind"]
        rows = [(field.name, field.type, field.default, field.limits) for field in fields]
        sections += [f"## {item.__name__}", inspect.cleandoc(item.__doc__ or "")]
        sections.append(table(("field", "type", "default", "limits"), [list(map(code, row)) for row in rows]))
        types |= named_types(item)
    # Constants that are no types are written in capitals.
    aliases = [(name, _readable(text)) for name, text in sorted(types.items()) if name != name.upper()]
    return page(
        "Declarations",
        "All of them are imported from `include.declarations`. They are frozen, and an unknown field is an "
        "error. Types that are no classes are listed [at the end](#types).",
        *sections,
        "## Types",
        table(("type", "definition"), [list(map(code, row)) for row in aliases]),
    )


def _readable(definition: str) -> str:
    return re.sub(r"^Annotated\[([^,\[\]]+)\]$", r"\1", VALIDATORS.sub("", definition))


def settings_page() -> str:
    """Return the variables that configure the project."""
    from include.settings import Settings

    rows = [
        (code(f"AIRWORTHY_{field.name.upper()}"), code(_as_variable(field.default)), field.meaning)
        for field in declared_fields(Settings)
    ]
    return page(
        "Settings",
        "Variables of the environment. An empty variable counts as not set; a wrong value is an error that "
        "names it. How to run the stack: [operate](../how-to/operate.md).",
        table(("variable", "default", "meaning"), rows),
    )


def _as_variable(default: str) -> str:
    """Return the default of a setting as it would stand in the environment; empty if it is derived."""
    from include.settings import LOOPBACK

    if default == "LOOPBACK":
        return LOOPBACK
    try:
        value = ast.literal_eval(default.removeprefix("Path"))
    except ValueError:
        return ""
    return "" if value is None else json.dumps(value).strip('"')


def errors_page() -> str:
    """Return the tree of the project's errors, which their module describes."""
    from include import errors

    tree = inspect.cleandoc(errors.__doc__ or "").partition("\n\n")[2]
    return page(
        "Errors",
        "Each error of the project names the thing, the place and the remedy. Airflow retries a task that "
        "failed with `ServiceUnavailable`, three times. All others would come again, and fail the task at "
        "once. What to do is in the [runbooks](../runbooks/index.md).",
        f"```text\n{tree}\n```",
    )


def prometheus_page() -> str:
    """Return the metrics that the gateway serves for Prometheus."""
    rows = []
    for file in sorted((REPOSITORY / "include/serving").rglob("*.py")):
        for call in _metric_calls(file.read_text()):
            kind, ending = METRIC_TYPES[ast.unparse(call.func)]
            name, meaning = (ast.literal_eval(argument) for argument in call.args[:2])
            labels: list[str] = []
            for argument in call.args:
                labels += ast.literal_eval(argument) if isinstance(argument, ast.List) else []
            rows.append((code(name + ending), kind, ", ".join(map(code, labels)), f"{meaning}."))
    return page(
        "Metrics for Prometheus",
        "`GET /metrics` of the gateway merges those of its access log and of all model servers; those of a "
        "model server have the labels `use_case` and `version` besides. Where callers need a "
        "[token](../how-to/tokens.md), it needs the scope `--metrics`. Examples: "
        "[service levels](../how-to/service-levels.md#alarms-within-minutes). `GET /metrics/haproxy` has "
        "HAProxy's own.",
        table(("metric", "type", "labels", "meaning"), sorted(rows)),
    )


def _metric_calls(source: str) -> Iterator[ast.Call]:
    """Yield the calls that define a metric of ours."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in METRIC_TYPES or not node.args:
            continue
        if isinstance(node.args[0], ast.Constant) and str(node.args[0].value).startswith("airworthy_"):
            yield node


def measurements_page() -> str:
    """Return the measurements of `make bench` in their order, with the first sentence of each."""
    body = ast.parse((REPOSITORY / "tests/bench/measurements.py").read_text()).body
    modules: dict[str, str] = {}
    for statement in body:
        if isinstance(statement, ast.ImportFrom):
            modules |= dict.fromkeys((alias.name for alias in statement.names), str(statement.module))
    listed = next(statement for statement in body if isinstance(statement, ast.AnnAssign))
    names = [node.id for node in ast.walk(listed) if isinstance(node, ast.Name) and node.id in modules]
    rows = []
    for name in names:
        file = REPOSITORY / f"{modules[name].replace('.', '/')}.py"
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                rows.append((code(name), (ast.get_docstring(node) or "").partition("\n\n")[0]))
    return page(
        "Measurements",
        "`make bench ONLY=NAME` takes one of them: [measure](../how-to/measure.md).",
        table(("name", "what is measured"), rows),
    )


def dags_page() -> str:
    """Return the documentation of each DAG, as Airflow shows it."""
    files = sorted((REPOSITORY / "dags").glob("*.py"))
    documents = [ast.get_docstring(ast.parse(file.read_text())) or "" for file in files]
    sections = [document.replace("### ", "## ", 1) for document in documents if document.startswith("### ")]
    # Airflow has the pages of docs/ below this address.
    sections = [section.replace("](airworthy/docs/", "](../") for section in sections]
    return page("DAGs", "Airflow shows this on the page of each DAG.", *sections)


def operators_page() -> str:
    """Return the directives by which mkdocstrings documents operators, sensors, triggers and hooks."""
    sections = []
    for room in PLUGIN_ROOMS:
        sections.append(f"## {room.capitalize()}")
        for file in sorted((REPOSITORY / "plugins/airworthy" / room).glob("[a-z]*.py")):
            body = ast.parse(file.read_text()).body
            names = [node.name for node in body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
            sections += [f"::: airworthy.{room}.{file.stem}.{name}" for name in names]
    return page("Operators, sensors, triggers and hooks", "They work in any DAG of the project.", *sections)


def commands_page() -> str:
    """Return each command with its arguments, options and help."""
    import typer

    from include.cli.__main__ import app

    sections = _describe_command(typer.main.get_command(app), "airworthy")
    return page(
        "Commands and options",
        "Exit codes and the keys of JSON are on the page of the [command line](command-line.md).",
        *sections,
    )


def _describe_command(command: Any, name: str) -> Iterator[str]:
    """Yield the sections of a command, or of all commands of a group."""
    children = getattr(command, "commands", {})
    for child in children.values():
        yield from _describe_command(child, f"{name} {child.name}")
    if children:
        return
    # Help has Rich's markup; its examples are indented by two.
    yield f"## `{name}`"
    text = re.sub(r"\[/?bold\]", "**", inspect.cleandoc(command.help or ""))
    yield re.sub(r"(?m)^  (\S.*\n?)", r"      \1", text.replace("**\n  ", "**\n\n  "))
    rows = []
    for parameter in command.params:
        is_argument = parameter.param_type_name == "argument"
        options = ", ".join([*parameter.opts, *parameter.secondary_opts])
        shown = (parameter.metavar or parameter.name.upper()) if is_argument else options
        rows.append((code(shown), parameter.help or ""))
    yield table(("argument or option", "meaning"), rows)


def changelog_page() -> str:
    """Return the changelog without its links to files that are no pages; others begin at the root."""
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    return re.sub(r"\[([^\]]+)\]\((?!docs/|https:)[^)]+\)", r"\1", text).replace("](docs/", "](")


def page(title: str, *sections: str) -> str:
    """Return a page with a title."""
    return "\n\n".join([f"# {title}", *sections])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("\n", " ") for line in lines)


def code(text: str) -> str:
    """Return a text as code in a cell of a table; an empty text stays empty."""
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if text else ""


PAGES = {
    "reference/declarations.md": declarations_page,
    "reference/settings.md": settings_page,
    "reference/errors.md": errors_page,
    "reference/prometheus.md": prometheus_page,
    "reference/measurements.md": measurements_page,
    "reference/dags.md": dags_page,
    "reference/operators.md": operators_page,
    "reference/commands.md": commands_page,
    "changelog.md": changelog_page,
}
