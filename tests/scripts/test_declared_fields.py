from __future__ import annotations

from include.declarations import Rollout, Threshold
from include.settings import Settings
from scripts.declared_fields import DERIVED, REQUIRED, DeclaredField, declared_fields, named_types


def fields_of(declaration):
    return {field.name: field for field in declared_fields(declaration)}


def test_fields_have_type_default_and_limits_of_the_source():
    fields = fields_of(Rollout)
    assert list(fields) == list(Rollout.model_fields)
    assert fields["minimum_requests"] == DeclaredField("minimum_requests", "int", "200", "ge=1", "")
    assert fields["bake"].default == "timedelta(minutes=10)"


def test_inherited_and_required_fields_are_listed():
    fields = fields_of(Threshold)
    assert fields["severity"].default == "'block'"
    assert fields["metric"].default == REQUIRED


def test_docstring_of_a_field_is_its_meaning():
    fields = fields_of(Settings)
    assert [field.name for field in fields.values() if not field.meaning] == []
    assert fields["lake_uri"].default == DERIVED


def test_aliases_are_followed_to_their_definition():
    assert named_types(Rollout)["Share"] == "Annotated[float, Field(ge=0, le=1)]"
    assert "Rollout" not in named_types(Rollout)
