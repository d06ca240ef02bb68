"""
Check the rules of the code style that ruff does not have: names, density and length.

`python scripts/check_style.py [--counts] [PATH …]` prints the findings and exits with 1 if there is any.
Pass whole folders: the rule `two-meanings` compares only the modules that it is given.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import UnionType

DEFAULT_PATHS = ("include", "plugins", "dags", "tests", "scripts", "docker")
SOURCE_FOLDERS = {"include", "plugins"}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 7
MAX_TEST_NAME = 60
TEST_NAME_FORM = "use test_<subject>_<condition>_<result>"
MAX_TEST_SLEEP_S = 0.2
MAX_LISTED_FILES = 10

# Retired names and what to write instead. A word without underscores is retired with them, too.
# fmt: off
OLD_WORDS = {
    # Local variables: say what the variable holds.
    "about": "certificate, or its subject", "answers": "predictions or response",
    "asked": "requested or request", "each": "row, column or item", "found": "result, row or its noun",
    "given": "request or arguments", "gone": "missing or deleted", "kept": "retained",
    "known": "existing or registered", "mine": "local, or its noun", "one": "row, column or item",
    "ours": "local, or its noun", "place": "partitions or path", "said": "message or output",
    "seen": "visited or observed", "theirs": "remote, or its noun", "there": "existing",
    "told": "notified or message", "twice": "duplicates or repeated", "wanted": "expected or requested",
    # Classes.
    "Answers": "ProcessMeasurement", "Bond": "StateStore", "Certified": "LoadedVersion", "Chapter": "Step",
    "Choice": "RowFilter or Categorical", "Copy": "MirroredRequest", "Days": "DayBootstrap",
    "Descendants": "PartitionLineage", "Findings": "ValidationResult", "Further": "ExtraCheck",
    "Hearing": "Review", "Hold": "Lease", "Judged": "CheckedRows", "Learner": "TrainedVersion",
    "Narrator": "DemoConsole", "Night": "NightlyResult",
    "NominateCandidateOperator": "AnnounceCandidateOperator", "Nonsense": "InvalidPrediction",
    "Opponent": "ChampionScores", "Part": "ScoredSplit", "Place": "PartitionSet",
    "Refused": "RejectedRows or BadRequest", "Reign": "ChampionRecord",
    "Released": "ReleaseResult or ReleasedKeys", "Rivalry": "ChampionComparison", "Site": "Workspace",
    "Tally": "TrafficStats", "Usual": "Stability", "Whole": "Integer", "WholeAnswers": "SingleWriteProtocol",
    "Work": "TrialJob",
    # Functions and attributes.
    "accidents": "translate_transient", "alone": "advisory_lock, or its noun",
    "answering": "estimator_errors or responding", "answers_of": "predict_checked", "apart": "_run_child",
    "asking": "isolated_predictor", "become": "exec_program", "beside": "auxiliary_columns",
    "blind": "unobservable or failed_probes", "complaint": "failure_message", "_falls": "_failures",
    "followers": "dependent_days", "_hear": "_review", "_heard": "_judge_safely", "_intend": "_log_intent",
    "july": "backfill_week", "last_of": "final_estimator", "last_words": "last_log_line",
    "left_out": "excluded_days", "_meaning": "_translate", "naive_by": "baseline_by",
    "names_of": "partition_of", "nobody": "sentinel_key", "_patiently": "_commit_with_retry",
    "places_of": "evenly_spaced", "reached": "reachable or translate_storage_errors",
    "reaching": "translate_storage_errors", "reign": "champion_at", "rival": "champion_version",
    "_settle": "_update_queue", "spoilt": "perturbed", "stamped": "with_partition_columns",
    "strangers": "unexpected_partitions", "tell": "on_progress", "trained_on": "training_provenance",
    "_tried": "_measure_safely", "undecided": "inconclusive", "understood": "permanent_errors",
    "unjudged": "not_measured", "usual": "baseline or stability", "_were_known": "_check_point_in_time",
    "yardstick": "baseline_loss",
    # Constants: what, and the unit.
    "AT_ONCE": "INLINE_WAIT", "BLIND_LOOKS": "MAX_FAILED_PROBES", "CONFIGURED": "DAG_DEFAULTS",
    "EVERYBODY": "ALL_USE_CASES", "EVERYTHING": "FULL_WEIGHT or what it holds", "GRACE": "DRAIN_SECONDS",
    "HASTE": "BUSY_POLL", "INDIFFERENT": "DEFAULT_THRESHOLD", "KEEPERS": "UNMANAGED",
    "LOOK": "PROBE_INTERVAL", "MARK": "LINE_PREFIX or what it marks", "NAMED": "MAX_LOGGED_IDS",
    "NOBODY": "NO_BACKEND", "PACE": "IDLE_POLL", "PER": "PER_ROWS", "TOLD": "LEDGER_TEXT",
}
# Words that are retired anywhere in the name of a constant, as in MOST_ROWS.
OLD_CONSTANT_PARTS = {"MOST": "MAX_*", "PATIENCE": "*_TIMEOUT_S", "SMALLEST": "EPSILON or MIN_*"}
OLD_MODULES = {
    "accidents": "transient_errors", "admission": "quality_gate", "attribution": "shapley",
    "bond": "desired_state", "certification": "register", "clearance": "release",
    "examination": "collect_evidence", "findings": "results", "fitting": "estimator",
    "fresh": "isolated_process", "judgement": "runner", "naive": "baseline", "narrator": "console",
    "nomination": "candidate_event", "once": "idempotency", "outages": "errors", "packaged": "package",
    "places": "partition_columns", "pushdown": "sql", "refused": "rows", "signing": "keys",
    "soundness": "checks", "standing": "mandatory", "timeliness": "freshness", "weights": "sample_weights",
    "whole": "single_write",
}
# fmt: on
# Names that several modules of include/ and plugins/ may define, and why.
ALLOWED_HOMONYMS: dict[str, str] = {}
# Names that a command line, a declaration or Alembic prescribes.
ENTRY_POINTS = {"main", "build", "build_model", "upgrade", "downgrade"}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
# A line number and a message; the table RULES adds the name of the rule.
LocatedMessage = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed Python file; `path` is relative to the working directory."""

    path: Path
    tree: ast.Module
    # All nodes of the tree: to walk it takes most of the time of this script.
    nodes: Sequence[ast.AST]
    n_lines: int

    @property
    def top_folder(self) -> str:
        """First folder of the path, such as `include` or `tests`."""
        return self.path.parts[0]

    def functions(self) -> Iterator[FunctionNode]:
        """Yield all functions, methods and inner functions."""
        return (node for node in self.nodes if isinstance(node, FunctionNode))


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """A line that breaks a rule, and how to correct it."""

    path: Path
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """Return the violation as `path:line: rule: message`."""
        return f"{self.path.as_posix()}:{self.line}: {self.rule}: {self.message}"


def parallel_assignment(module: Module) -> Iterator[LocatedMessage]:
    """Yield assignments of several values, or to several targets, in one statement, except swaps."""
    for node in module.nodes:
        if not isinstance(node, ast.Assign):
            continue
        if len(node.targets) > 1:
            yield node.lineno, "chained assignment; assign each name on its own line"
        elif _assigns_several_values(node.targets[0], node.value):
            yield node.lineno, "parallel assignment; assign each name on its own line"


def _assigns_several_values(target: ast.expr, value: ast.expr) -> bool:
    if not isinstance(target, ast.Tuple | ast.List) or not isinstance(value, ast.Tuple | ast.List):
        return False
    targets = {ast.unparse(element) for element in target.elts}
    values = {ast.unparse(element) for element in value.elts}
    return targets != values


def nested_comprehension(module: Module) -> Iterator[LocatedMessage]:
    """Yield comprehensions with two `for` clauses, or with another comprehension in element or condition."""
    for node in module.nodes:
        if not isinstance(node, Comprehension):
            continue
        if len(node.generators) > 1:
            yield node.lineno, "comprehension with several `for` clauses; write a loop or a function"
        elif any(_contains(part, Comprehension) for part in _repeated_parts(node)):
            yield node.lineno, "comprehension in a comprehension; extract the inner one as a function"


def _repeated_parts(node: Comprehension) -> list[ast.expr]:
    elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    return [*elements, *node.generators[0].ifs]


def _contains(root: ast.AST, kind: type | UnionType) -> bool:
    return any(isinstance(node, kind) for node in ast.walk(root))


def nested_conditional(module: Module) -> Iterator[LocatedMessage]:
    """Yield conditional expressions that contain another one."""
    for node in module.nodes:
        parts = ast.iter_child_nodes(node)
        if isinstance(node, ast.IfExp) and any(_contains(part, ast.IfExp) for part in parts):
            yield node.lineno, "conditional expression in another one; use `if` statements or a function"


def old_word(module: Module) -> Iterator[LocatedMessage]:
    """Yield bound names, and names of modules, that are retired."""
    stem = module.path.stem
    if module.top_folder in SOURCE_FOLDERS and stem in OLD_MODULES:
        yield 1, f"module `{stem}` is a retired name; use {OLD_MODULES[stem]}"
    for node in module.nodes:
        name = _bound_name(node)
        replacement = _replacement(name) if name else None
        if replacement:
            yield getattr(node, "lineno", 1), f"`{name}` is a retired name; use {replacement}"


def _bound_name(node: ast.AST) -> str | None:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            return name
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
            return name
        case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
            return name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            return name
        case _:
            return None


def _replacement(name: str) -> str | None:
    replacement = OLD_WORDS.get(name) or OLD_WORDS.get(name.strip("_"))
    if replacement:
        return replacement
    return next((OLD_CONSTANT_PARTS[part] for part in name.split("_") if part in OLD_CONSTANT_PARTS), None)


def long_test_name(module: Module) -> Iterator[LocatedMessage]:
    """Yield test functions whose name is longer than `MAX_TEST_NAME` characters."""
    for node in module.functions():
        if node.name.startswith("test_") and len(node.name) > MAX_TEST_NAME:
            yield node.lineno, f"{len(node.name)} characters, at most {MAX_TEST_NAME}; {TEST_NAME_FORM}"


def fixed_sleep(module: Module) -> Iterator[LocatedMessage]:
    """Yield calls of `sleep` in tests with a literal above `MAX_TEST_SLEEP_S` seconds."""
    for node in module.nodes:
        if module.top_folder == "tests" and isinstance(node, ast.Call) and _sleeps_long(node):
            yield node.lineno, f"fixed sleep above {MAX_TEST_SLEEP_S} s; wait for a condition"


def _sleeps_long(call: ast.Call) -> bool:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    literals = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
    seconds = [literal for literal in literals if isinstance(literal, int | float)]
    return ast.unparse(call.func).split(".")[-1] == "sleep" and max(seconds, default=0) > MAX_TEST_SLEEP_S


def file_length(module: Module) -> Iterator[LocatedMessage]:
    """Yield the first line of a file with more than `MAX_FILE_LINES` lines."""
    if module.n_lines > MAX_FILE_LINES:
        yield 1, f"{module.n_lines} lines, at most {MAX_FILE_LINES}; split the module by subject"


def function_length(module: Module) -> Iterator[LocatedMessage]:
    """Yield functions with more than `MAX_FUNCTION_LINES` lines, signature and docstring included."""
    for node in module.functions():
        n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if n_lines > MAX_FUNCTION_LINES:
            yield node.lineno, f"{n_lines} lines, at most {MAX_FUNCTION_LINES}; split {node.name}"


def parameters(module: Module) -> Iterator[LocatedMessage]:
    """Yield functions with more than `MAX_PARAMETERS` parameters; self, cls, `*` and `**` do not count."""
    for node in module.functions():
        declared = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = [parameter.arg for parameter in declared if parameter.arg not in {"self", "cls"}]
        if len(names) > MAX_PARAMETERS:
            yield node.lineno, f"{len(names)}, at most {MAX_PARAMETERS}; group those of {node.name}"


RULES: dict[str, Callable[[Module], Iterator[LocatedMessage]]] = {
    "parallel-assignment": parallel_assignment,
    "nested-comprehension": nested_comprehension,
    "nested-conditional": nested_conditional,
    "old-word": old_word,
    "test-name": long_test_name,
    "fixed-sleep": fixed_sleep,
    "file-length": file_length,
    "function-length": function_length,
    "parameters": parameters,
}


def two_meanings(modules: Iterable[Module]) -> Iterator[Violation]:
    """Yield the definitions of names that several modules of include/ and plugins/ define."""
    definitions: dict[str, dict[Path, int]] = defaultdict(dict)
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, FunctionNode | ast.ClassDef) and _needs_one_meaning(node.name, module):
                definitions[node.name][module.path] = node.lineno
    shared = {name: lines for name, lines in definitions.items() if len(lines) > 1}
    for name, lines in shared.items():
        for path, line in lines.items():
            others = ", ".join(other.as_posix() for other in lines if other != path)
            message = f"`{name}` is also defined in {others}; give different things different names"
            yield Violation(path, line, "two-meanings", message)


def _needs_one_meaning(name: str, module: Module) -> bool:
    if module.top_folder not in SOURCE_FOLDERS or name.startswith("__"):
        return False
    return name not in ENTRY_POINTS and name not in ALLOWED_HOMONYMS


def find_violations(modules: Sequence[Module]) -> list[Violation]:
    """Return the violations of all rules, sorted by path and line."""
    violations = list(two_meanings(modules))
    for module in modules:
        for rule, check in RULES.items():
            violations.extend(Violation(module.path, line, rule, message) for line, message in check(module))
    return sorted(violations)


def load_modules(paths: Iterable[Path]) -> list[Module]:
    """Parse the given files, and all Python files of the given folders."""
    files: set[Path] = set()
    for path in paths:
        files.update(path.rglob("*.py") if path.is_dir() else [path])
    return [_load_module(file) for file in sorted(files)]


def _load_module(file: Path) -> Module:
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text, filename=str(file))
    return Module(Path(os.path.relpath(file)), tree, list(ast.walk(tree)), len(text.splitlines()))


def format_counts(violations: Sequence[Violation], n_lines: int) -> str:
    """Return the totals per rule, also per 1,000 lines, and the files with the most violations."""
    by_rule = Counter(violation.rule for violation in violations)
    by_file = Counter(violation.path.as_posix() for violation in violations)
    counts = {rule: by_rule[rule] for rule in sorted([*RULES, "two-meanings"])}
    counts["total"] = len(violations)
    lines = [f"{'rule':<22}{'count':>7}{'per 1,000 lines':>17}"]
    lines.extend(f"{rule:<22}{n:>7}{1000 * n / max(n_lines, 1):>17.2f}" for rule, n in counts.items())
    lines.append(f"files with the most findings ({n_lines} lines checked):")
    lines.extend(f"{count:>7}  {path}" for path, count in by_file.most_common(MAX_LISTED_FILES))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the violations, or their counts, and return the exit code."""
    parser = argparse.ArgumentParser(description="Check names, density and length of the code.")
    parser.add_argument("--counts", action="store_true", help="print totals instead of findings")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files and folders")
    options = parser.parse_args(arguments)
    modules = load_modules(options.paths or [Path(path) for path in DEFAULT_PATHS])
    violations = find_violations(modules)
    if options.counts:
        sys.stdout.write(format_counts(violations, sum(module.n_lines for module in modules)))
    else:
        sys.stdout.writelines(f"{violation}\n" for violation in violations)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
