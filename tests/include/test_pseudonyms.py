from __future__ import annotations

from include.pseudonyms import PREFIX, pseudonym


def test_pseudonym_is_the_same_for_the_same_value():
    assert pseudonym("ann@example.org", "key") == pseudonym("ann@example.org", "key")
    assert pseudonym(17, "key") == pseudonym("17", "key")


def test_pseudonym_depends_on_value_and_key():
    pairs = [("ann", "one"), ("ann", "two"), ("bob", "one")]
    pseudonyms = [pseudonym(value, key) for value, key in pairs]
    assert len(set(pseudonyms)) == 3
    assert pseudonyms[0].startswith(PREFIX)
    assert "ann" not in pseudonyms[0]


def test_pseudonym_of_a_pseudonym_is_itself():
    once = pseudonym("ann", "key")
    assert pseudonym(once, "key") == once
