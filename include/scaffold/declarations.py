"""Files of declarations that follow from the plan of a model."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import TYPE_CHECKING, Any

from include.declarations.base import TABLE_SUFFIXES
from include.scaffold.guesses import positive_value
from include.scaffold.plan import (
    KEY,
    MAX_TEST_DAYS,
    TIME,
    is_count,
    naive_error,
    naive_log_loss,
    prediction_range,
)
from include.scaffold.source_text import Call, Raw, assignment

if TYPE_CHECKING:
    from include.scaffold.columns import InferredColumn
    from include.scaffold.plan import ModelPlan

MAX_FILE_NAME_LENGTH = 50
VOLUME_SLACK = 3
# Parts of the rows that are at least trained on, and of the days that are tested on.
MIN_TRAINING_PART = 3
MIN_TEST_PART = 6
MIN_ROC_AUC = 0.55
MAX_SINGLE_FEATURE = 0.98
SMALL_ROWS = 500
FEW_ROWS_PER_LEAF = 5
FUTURE = "from __future__ import annotations\n"


def declaration_files(plan: ModelPlan) -> dict[str, str]:
    """Return the text of each file, by its path below `include`."""
    files = {f"use_cases/{plan.name}.py": _model_file(plan)}
    if plan.is_dated:
        files[f"datasets/{plan.outcomes}.py"] = _outcomes_file(plan)
    return files


def forbidden_name(name: str) -> str | None:
    """Return why a model cannot have this name; None if it can."""
    if len(name) > MAX_FILE_NAME_LENGTH:
        return f"it is longer than {MAX_FILE_NAME_LENGTH} letters"
    suffix = next((suffix for suffix in TABLE_SUFFIXES if name.endswith(suffix)), None)
    return f"tables that end with {suffix} are made by the project" if suffix else None


def _model_file(plan: ModelPlan) -> str:
    dataset = _dataset(plan)
    view = _view(plan)
    use_case = _use_case(plan)
    names = {"Column", "Dataset", "FeatureView", "FileSource", "Label", "Online", "Rollout", "Split"}
    names |= {"Threshold", "UseCase", "ViewSource", "Slo"}
    if plan.choices.task != "multiclass":
        names.add("Leakage")
    parts = [
        f'"""{plan.label.name} of {plan.table.name}: its rows, their features, and the model."""\n',
        FUTURE,
        _standard_imports(plan),
        _import(sorted(names)),
        "if TYPE_CHECKING:\n    from sklearn.pipeline import Pipeline\n",
        f"{assignment('DATASET', dataset)}\n",
        f"{assignment('FEATURE_VIEW', view)}\n",
        f"{assignment('USE_CASE', use_case)}\n\n",
        _build_model(plan),
    ]
    return "\n".join(parts)


def _outcomes_file(plan: ModelPlan) -> str:
    dataset = Call(
        "Dataset",
        {
            "name": plan.outcomes,
            "owner": plan.choices.owner,
            "description": f"{plan.label.name} of each row of {plan.dataset}, known when its day is over.",
            "source": Call("FileSource", _file_arguments(plan, plan.outcomes)),
            "columns": (_column(plan, plan.columns[plan.key]), _column(plan, plan.label, is_label=True)),
            "key": (plan.key,),
            **_day_arguments(plan),
            "volume": _volume(plan),
        },
        {"last_partition": "Remove it when new days land: until then, no night waits for them."},
    )
    parts = [
        f'"""{plan.label.name} of {plan.table.name}: the labels of {plan.name}, in files of their own."""\n',
        FUTURE,
        "from datetime import date\n",
        _import(["Column", "Dataset", "FileSource"]),
        f"{assignment('DATASET', dataset)}\n",
    ]
    return "\n".join(parts)


def _standard_imports(plan: ModelPlan) -> str:
    moments = "date, timedelta" if plan.is_dated else "timedelta"
    return f"from datetime import {moments}\nfrom typing import TYPE_CHECKING\n"


def _import(names: list[str]) -> str:
    line = f"from include.declarations import {', '.join(names)}\n"
    if len(line) <= 110:
        return line
    return "from include.declarations import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


def _dataset(plan: ModelPlan) -> Call:
    arguments: dict[str, Any] = {
        "name": plan.dataset,
        "owner": plan.choices.owner,
        "description": f"Rows of {plan.table.name}.",
        "source": Call("FileSource", _file_arguments(plan, plan.dataset)),
    }
    comments = {"columns": "Bounds have slack: tighten them, and add descriptions and units."}
    if not plan.is_dated:
        arguments["whole"] = True
        comments["whole"] = "A new file replaces all rows."
    columns = [_column(plan, column, is_label=column is plan.label) for column in plan.columns.values()]
    arguments |= {"columns": tuple(columns), "key": (plan.key,)}
    if plan.is_dated:
        arguments |= {**_day_arguments(plan), "known_from": "start"}
        comments["last_partition"] = "Remove it when new days land: until then, no night waits for them."
        comments["known_from"] = (
            "All of these columns are known before the event. Move what is not elsewhere."
        )
    arguments["volume"] = _volume(plan)
    return Call("Dataset", arguments, comments)


def _view(plan: ModelPlan) -> Call:
    columns = f'DATASET.columns if column.name != "{plan.label.name}"'
    listed = "DATASET.columns" if plan.is_dated else f"tuple(column for column in {columns})"
    arguments: dict[str, Any] = {
        "name": plan.view,
        "owner": plan.choices.owner,
        "description": f"What is known of a row of {plan.table.name} before its {plan.label.name}.",
        "sources": (Call("ViewSource", {"dataset": plan.dataset}),),
        "entity": plan.key,
    }
    comments = {"columns": "Without build(), the columns as they are. To compute features, define it."}
    if plan.is_dated:
        arguments |= {"time": TIME, "known_from": "start"}
    arguments["columns"] = Raw(listed)
    if plan.is_dated:
        arguments["volume"] = Raw("DATASET.volume")
    arguments["online"] = Call("Online", {})
    return Call("FeatureView", arguments, comments)


def _use_case(plan: ModelPlan) -> Call:
    metric = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "mae"}[plan.choices.task]
    comments = {
        "gates": _gate_comment(plan),
        "rollout": "Of a system in development: see docs/how-to/gates.md.",
    }
    comments["slo"] = "Slow enough for a busy machine: state what callers are promised."
    if plan.excluded:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in plan.excluded.items())
        comments["features"] = _shortened(f"Left out: {reasons}")
    label: dict[str, Any] = {"dataset": plan.outcomes, "column": plan.label.name}
    label |= _label_arguments(plan)
    arguments: dict[str, Any] = {
        "name": plan.name,
        "owner": plan.choices.owner,
        "description": f"Prediction of {plan.label.name} in {plan.table.name}.",
        "task": plan.choices.task,
        "feature_view": plan.view,
        "features": plan.features,
        "label": Call("Label", label),
        "split": _split_call(plan),
        "metric": metric,
        "gates": _gates(plan, metric),
        "prediction_range": _use_case_range(plan),
        "rollout": _rollout(),
        "slo": Call("Slo", {"latency_p99_ms": 1000}),
    }
    return Call("UseCase", arguments, comments)


def _rollout() -> Call:
    waits = {"bake": Raw("timedelta(seconds=10)"), "patience": Raw("timedelta(minutes=10)")}
    return Call("Rollout", {"steps": (50, 100), **waits, "minimum_requests": 20})


def _build_model(plan: ModelPlan) -> str:
    name = "Regressor" if plan.choices.task == "regression" else "Classifier"
    estimator = f"HistGradientBoosting{name}"
    settings = ["random_state=0"]
    if plan.choices.task == "regression" and is_count(plan.label):
        settings.insert(0, 'loss="poisson"')
    if plan.n_rows < SMALL_ROWS:
        settings.insert(0, f"min_samples_leaf={FEW_ROWS_PER_LEAF}")
    fitted = f"{estimator}({', '.join(settings)})"
    if not plan.texts:
        body = f"""
            from sklearn.ensemble import {estimator}
            from sklearn.pipeline import make_pipeline

            return make_pipeline({fitted})
            """
    else:
        texts = f"texts = {_list_text(plan.texts)}"
        body = f"""
            from sklearn.compose import make_column_transformer
            from sklearn.ensemble import {estimator}
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import OrdinalEncoder

            {texts}
            encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
            columns = make_column_transformer((encoder, texts), remainder="passthrough")
            return make_pipeline(columns, {fitted})
            """
    docstring = '"""Return untrained boosted trees, which take numbers with gaps and encoded texts."""'
    lines = indent(f"{docstring}{dedent(body).rstrip()}", "    ", lambda line: bool(line.strip()))
    return f"def build_model() -> Pipeline:\n{lines}\n"


def _list_text(names: tuple[str, ...]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    if len(quoted) < 80:
        return f"[{quoted}]"
    inner = "".join(f'                    "{name}",\n' for name in names)
    return f"[\n{inner}            ]"


def _file_arguments(plan: ModelPlan, name: str) -> dict[str, Any]:
    table = plan.table
    path = f"{name}/{{partition}}" if plan.is_dated else name
    arguments: dict[str, Any] = {"path": f"{path}.{table.format}"}
    if table.format != "csv":
        arguments["format"] = table.format
    if not plan.copies_file:
        return arguments
    if table.rename:
        arguments["rename"] = {old: new for old, new in table.rename.items() if new in plan.columns}
    if table.format == "csv":
        dialect = {"delimiter": table.delimiter, "decimal": table.decimal}
        defaults = {"delimiter": ",", "decimal": "."}
        arguments |= {mark: value for mark, value in dialect.items() if value != defaults[mark]}
        if table.nulls:
            arguments["nulls"] = table.nulls
    return arguments


def _column(plan: ModelPlan, column: InferredColumn, *, is_label: bool = False) -> Call:
    arguments: dict[str, Any] = {"name": column.name, "dtype": column.dtype}
    if column.nullable:
        arguments["nullable"] = True
        if plan.is_dated:
            arguments["maximum_nulls"] = 1
    if column.minimum is not None and column.name != KEY:
        arguments |= {"minimum": column.minimum, "maximum": column.maximum}
    if column.allowed and column.name != plan.key:
        arguments["allowed"] = column.allowed
        if not is_label:
            arguments["severity"] = "warning"
    return Call("Column", arguments)


def _day_arguments(plan: ModelPlan) -> dict[str, Any]:
    days = plan.calendar_days
    dates = {"first_partition": days[0], "last_partition": days[-1]}
    return {name: Raw(f"date({day.year}, {day.month}, {day.day})") for name, day in dates.items()}


def _volume(plan: ModelPlan) -> tuple[int, int]:
    """Return the bounds of the rows of a partition; a day may be empty where some days of the file are."""
    counts = plan.daily_rows
    is_gapless = not plan.is_dated or len(counts) == len(plan.calendar_days)
    low = max(1, int(counts.min()) // VOLUME_SLACK) if is_gapless else 0
    return low, int(counts.max()) * VOLUME_SLACK


def _label_arguments(plan: ModelPlan) -> dict[str, Any]:
    task = plan.choices.task
    values = plan.label.values.dropna()
    arguments: dict[str, Any] = {}
    if task == "binary" and plan.label.dtype != "boolean":
        value = positive_value(plan.label)
        arguments["positive"] = str(value) if plan.label.dtype == "string" else int(str(value))
    if task == "multiclass":
        arguments["classes"] = tuple(sorted(set(values.tolist())))
    if plan.label.nullable:
        arguments["minimum_completeness"] = 0.0
    return arguments


def _split_call(plan: ModelPlan) -> Call:
    minimum = max(1, plan.n_rows // MIN_TRAINING_PART)
    if not plan.is_dated:
        shares = {"validation_share": 0.15, "test_share": 0.2}
        return Call("Split", {"by": "entity", **shares, "minimum_rows": minimum})
    days = min(MAX_TEST_DAYS, max(1, len(plan.calendar_days) // MIN_TEST_PART))
    return Call("Split", {"validation_days": days, "test_days": days, "minimum_rows": minimum})


def _gates(plan: ModelPlan, metric: str) -> tuple[Call, ...]:
    limit: dict[str, Any] = {"minimum": MIN_ROC_AUC}
    if plan.choices.task != "binary":
        naive = naive_error if plan.choices.task == "regression" else naive_log_loss
        limit = {"maximum": _significant(naive(plan.label))}
    gates = [Call("Threshold", {"metric": metric, **limit})]
    if plan.choices.task != "multiclass":
        gates.append(Call("Leakage", {"maximum": MAX_SINGLE_FEATURE, "severity": "warn"}))
    return tuple(gates)


def _gate_comment(plan: ModelPlan) -> str:
    return {
        "binary": "0.5 is a guess. State what the model must reach to be of use.",
        "multiclass": "The log loss of the classes' shares. State what the model must reach to be of use.",
        "regression": "The error of always saying the median. State what the model must reach to be of use.",
    }[plan.choices.task]


def _use_case_range(plan: ModelPlan) -> tuple[float, float]:
    if plan.choices.task != "regression":
        return (0, 1)
    return prediction_range(plan.label)


def _significant(value: float) -> float:
    return float(f"{value:.3g}")


def _shortened(text: str) -> str:
    limit = 100
    return text if len(text) <= limit else f"{text[: limit - 2]} …"
