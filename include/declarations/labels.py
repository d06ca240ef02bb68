"""Labels: the targets of models, and the columns that they may be read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import StrictBool, StrictInt, StringConstraints, model_validator

from include.declarations.base import DAY_COLUMN, Declaration, Name, Share, require_unique
from include.errors import DeclarationError

if TYPE_CHECKING:
    from include.declarations.data.columns import Column
    from include.declarations.data.datasets import Dataset
    from include.declarations.data.features import FeatureView
    from include.declarations.metrics import Task

# A value as it stands in the data.
Value = StrictBool | StrictInt | Annotated[str, StringConstraints(strict=True, min_length=1)]
Class = StrictInt | Annotated[str, StringConstraints(strict=True, min_length=1)]
Form = Literal["above", "bands", "classes", "positive", "value"]

# Forms of a label that a column of a type can have, and what to declare instead of another one.
FORMS: dict[str, dict[Form, tuple[Task, ...]]] = {
    "string": {"positive": ("binary",), "classes": ("binary", "multiclass")},
    "boolean": {"value": ("binary",), "positive": ("binary",)},
    "integer": {
        "value": ("regression",), "above": ("binary",), "positive": ("binary",),
        "bands": ("binary", "multiclass"), "classes": ("binary", "multiclass"),
    },
    "number": {"value": ("regression",), "above": ("binary",), "bands": ("binary", "multiclass")},
    "timestamp": {},
}  # fmt: skip
REMEDIES = {
    "string": 'declare label.positive, such as positive="yes", or label.classes with the texts of the column',
    "boolean": "declare a binary task, and neither above, bands nor classes: the label is true or false",
    "integer": "declare above, positive, bands or classes for a classifier, and none for a regression",
    "number": "declare above or bands for a classifier, and neither of them for a regression",
    "timestamp": "declare a column of another type that the source derives from it, such as a number of days",
}
PYTHON_TYPES: dict[str, type] = {"string": str, "boolean": bool, "integer": int}


class Label(Declaration):
    """
    Target of a model: a column of a dataset that lands later.

    The target of a binary task is whether the column is `above` a number, whether it is equal to `positive`
    (a text, an integer, true or false; all other values are negative), which of two `classes` it is (the
    second one is the positive one), or, of a boolean column, whether it is true. A multiclass task has three
    or more `classes`, in order: the column holds them as they are declared, texts or integers, or `bands`
    divide a number: `bands=(15, 60)` gives three classes, up to 15, above 15 up to 60, and above 60. A day is
    used for training once the share `minimum_completeness` (0 to 1) of its rows has its label.

    A label belongs to the row of the feature view with the same entity and day. With `time`, the column of
    the dataset with the time of the event, each row of the dataset is an example instead: it has the entity
    columns of all feature views, and features are joined as of that time. A view of hours, whose entities may
    recur within a day, needs it, unless the dataset has days and the entity as its key.
    """

    dataset: Name
    column: str
    time: str | None = None
    above: float | None = None
    positive: Value | None = None
    bands: tuple[float, ...] = ()
    classes: tuple[Class, ...] = ()
    minimum_completeness: Share = 0.9

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_unique(map(str, self.classes), "classes")
        if len({type(name) for name in self.classes}) > 1:
            raise ValueError(
                f"classes: {self.classes} has texts and integers; declare all as the column has them"
            )
        fields = {"above": self.above, "positive": self.positive, "classes": self.classes or None}
        declared = [name for name, value in fields.items() if value is not None]
        if len(declared) > 1:
            raise ValueError(f"{' and '.join(declared)} divide the rows into classes: declare one of them")
        if self.bands and list(self.bands) != sorted(set(self.bands)):
            raise ValueError(f"bands must rise, not {self.bands}")
        if self.bands and len(self.classes) != len(self.bands) + 1:
            raise ValueError(
                f"{len(self.bands)} bands make {len(self.bands) + 1} classes, not {len(self.classes)}: "
                "name each of them in classes"
            )
        return self

    @classmethod
    def absent(cls, view: str) -> Label:
        """Return what stands for the label of an anomaly task: each row of a feature view is an example."""
        return cls(dataset=view, column=DAY_COLUMN, minimum_completeness=0)

    @property
    def is_absent(self) -> bool:
        """Whether there is no label; `dataset` is the feature view then."""
        return self.column == DAY_COLUMN

    @property
    def form(self) -> Form:
        """How the target follows from the column; `value` is the number, or the truth of a boolean column."""
        if self.bands:
            return "bands"
        if self.classes:
            return "classes"
        if self.positive is not None:
            return "positive"
        return "value" if self.above is None else "above"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of a classifier's classes in the order of their codes; the second of two is positive."""
        if self.classes:
            return tuple(map(str, self.classes))
        if self.above is not None:
            return f"at most {self.above:g}", f"above {self.above:g}"
        if self.positive is None or isinstance(self.positive, bool):
            return ("true", "false") if self.positive is False else ("false", "true")
        return f"not {self.positive}", str(self.positive)

    @property
    def description(self) -> str:
        """The column and how it is divided, such as `customers.churned is Yes`."""
        if self.is_absent:
            return f"rows of {self.dataset}, without a label"
        column = f"{self.dataset}.{self.column}"
        names = ", ".join(self.class_names)
        descriptions: dict[Form, str] = {
            "above": f"{column} {self.class_names[1]}",
            "bands": f"{column} as {names}, divided at {', '.join(f'{bound:g}' for bound in self.bands)}",
            "classes": f"{column} as {names}",
            "positive": f"{column} is {self.class_names[1]}",
            "value": column,
        }
        return descriptions[self.form]

    def check_column(self, column: Column, task: Task) -> None:
        """
        Raise DeclarationError if `column`, which holds the label, cannot give the target of a `task`.

        Parameters
        ----------
        column
            Column of the label's dataset.
        task
            Task of the use case.
        """
        form = self.form
        subject = f"label: {self.column} of {self.dataset} has type {column.dtype}"
        if task not in FORMS[column.dtype].get(form, ()):
            declared = "" if form == "value" else f" with {form}"
            raise DeclarationError(
                f"{subject}, from which a {task} task{declared} has no target; {REMEDIES[column.dtype]}"
            )
        if form not in {"positive", "classes"}:
            return
        values = self.classes or (self.positive,)
        expected = PYTHON_TYPES[column.dtype]
        wrong = [repr(value) for value in values if type(value) is not expected]
        if wrong:
            raise DeclarationError(
                f"{subject}, so label.{form} must be of type {expected.__name__}, not {', '.join(wrong)}"
            )
        if column.allowed is not None:
            self._check_allowed(column, values)

    def _check_allowed(self, column: Column, values: tuple[Value | None, ...]) -> None:
        allowed = column.allowed or ()
        impossible = [repr(value) for value in values if value not in allowed]
        if impossible:
            raise DeclarationError(
                f"label.{self.form}: {', '.join(impossible)} is none of the allowed values of {self.column} "
                f"in {self.dataset}, which are {', '.join(map(repr, allowed))}"
            )
        unnamed = [repr(value) for value in allowed if value not in values]
        if self.classes and unnamed:
            raise DeclarationError(
                f"label.classes: {self.column} of {self.dataset} may be {', '.join(unnamed)}: add it to the "
                "classes, or remove it from `allowed` of the column"
            )


# Of a use case that declares no label.
UNDECLARED = Label(dataset="undeclared", column="")


def check_label_rows(label: Label, view: FeatureView, dataset: Dataset) -> None:
    """Raise DeclarationError if a row of hours may have several labels, which only their time tells apart."""
    if view.granularity != "hour" or label.time is not None:
        return
    if dataset.granularity == "hour" or not set(dataset.key) <= set(view.keys):
        raise DeclarationError(
            f"label.time: rows of {view.name} come by the hour, and {dataset.name}, which comes by the "
            f"{dataset.granularity} with the key {', '.join(dataset.key)}, may have several labels of one "
            f"{' and '.join(view.keys)} in a day; declare label.time, the column of {dataset.name} with the "
            "time of the event"
        )
