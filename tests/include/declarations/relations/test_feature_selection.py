from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.declarations import Column, Dataset, FeatureView, FileSource, Label, ViewSource
from include.declarations.relations.feature_selection import FeatureSelection, Origin
from include.errors import DeclarationError
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE


def view(name, entity, *columns, **fields):
    return FeatureView(
        name=name, owner="ann", description=name, sources=(ViewSource(dataset="log"),), entity=entity,
        time="at", columns=(Column(name="at", dtype="timestamp"), *columns), **fields,
    )  # fmt: skip


def text(name):
    return Column(name=name, dtype="string")


def number(name):
    return Column(name=name, dtype="number")


def integer(name):
    return Column(name=name, dtype="integer")


VIEWS = {
    "orders": view(
        "orders", "order_id", integer("order_id"), integer("customer"), text("shop"), number("amount"),
        horizon=timedelta(hours=1),
    ),
    "customers": view("customers", "customer", integer("customer"), number("age"), number("amount")),
    "stays": view("stays", ("customer", "shop"), integer("customer"), text("shop"), number("visits")),
}  # fmt: skip
RETURNS = Dataset(
    name="returns", owner="ann", description="Returned orders.", source=FileSource(path="{partition}.csv"),
    columns=(
        integer("order_id"), integer("customer"), text("shop"), Column(name="ordered_at", dtype="timestamp"),
        number("price"), number("returned"),
    ),
    key=("order_id",), first_partition=date(2013, 1, 1),
)  # fmt: skip


def select(*features, views=("orders", "customers", "stays"), time=None, declared=VIEWS, **fields):
    label = Label(dataset="returns", column="returned", above=0, time=time)
    values = {"gates": (), "baseline_by": (), "feature_view": views[0], "feature_views": views}
    use_case = USE_CASE.model_copy(update=values | {"features": features, "label": label} | fields)
    return FeatureSelection.of(use_case, declared, {"returns": RETURNS})


def test_feature_of_one_view_needs_no_prefix():
    selection = select("age", "visits", "orders.amount", "customers.amount")
    assert selection.origins == {
        "age": Origin("customers", "age"),
        "visits": Origin("stays", "visits"),
        "orders.amount": Origin("orders", "amount"),
        "customers.amount": Origin("customers", "amount"),
    }
    assert selection.columns["customers.amount"].dtype == "number"


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("amount", "'amount' is in several views; write one of orders.amount, customers.amount"),
        ("size", "'size' does not exist; there are age, amount, at"),
        ("shops.age", "'shops.age' names none of the use case's tables; there are orders, customers, stays"),
        ("stays.age", "'stays.age' does not exist; there are at, customer"),
    ],
)
def test_unknown_or_ambiguous_feature_is_an_error(feature, message):
    with pytest.raises(DeclarationError, match=message):
        select(feature)


def test_first_view_gives_rows_that_the_others_join():
    spine = select("age").spine
    assert (spine.table, spine.keys, spine.time, spine.horizon) == (
        "orders", ("order_id",), "at", timedelta(hours=1),
    )  # fmt: skip
    assert spine.columns == ("order_id", "customer", "shop", "at")
    assert spine.label_keys == ("order_id",)


def test_labels_with_a_time_are_the_rows():
    selection = select("age", "price", views=("customers", "stays"), time="ordered_at", request=("price",))
    spine = selection.spine
    assert (spine.table, spine.keys, spine.time) == ("returns", ("order_id",), "ordered_at")
    assert spine.label_keys == ("customer", "shop")
    assert selection.origins["price"] == Origin("returns", "price")
    assert selection.looked_up() == {}


def test_rows_without_an_entity_of_a_view_are_an_error():
    with pytest.raises(
        DeclarationError, match="customers, whose rows the features are joined to, lacks the entity"
    ):
        select("age", views=("customers", "stays"))
    with pytest.raises(DeclarationError, match=r"label\.time: returns has no timestamp price"):
        select("age", views=("customers",), time="price")


def test_an_entity_of_two_types_is_an_error():
    texts = view("stays", ("customer", "shop"), text("customer"), text("shop"), number("visits"))
    with pytest.raises(DeclarationError, match="customer is integer in one view and string in stays"):
        select("age", declared=VIEWS | {"stays": texts})


def test_use_case_names_one_view_or_several():
    several = USE_CASE.model_dump(exclude={"feature_view"}) | {"feature_views": ("orders", "customers")}
    assert type(USE_CASE).model_validate(several).feature_view == "orders"
    single = AIR_TIME.model_dump(exclude={"feature_views"})
    assert type(AIR_TIME).model_validate(single).feature_views == ("flight_features",)
    with pytest.raises(ValueError, match="feature_view: declare feature_view or feature_views, not both"):
        type(USE_CASE).model_validate(several | {"feature_view": "stays"})
    with pytest.raises(ValueError, match="name the feature view, or several in feature_views"):
        type(USE_CASE).model_validate(USE_CASE.model_dump(exclude={"feature_view", "feature_views"}))
    with pytest.raises(ValueError, match="request: unknown price"):
        type(USE_CASE).model_validate(several | {"request": ("price",)})
