"""JSON that users give: the last of equal keys counts, and they are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.duplicate_keys import parse_json


@pytest.mark.parametrize(
    ("text", "value", "remark"),
    [
        ('{"rows": 1, "rows": 2}', {"rows": 2},
         'the key "rows" stands twice: the last one counts'),
        ('[{"a": {"b": 1, "b": 2, "b": 3}}]', [{"a": {"b": 3}}],
         'the key "b" stands twice: the last one counts'),
        ('{"a": 1, "\\u0061": 2}', {"a": 2}, 'the key "a" stands twice: the last one counts'),
        ('{"a": 1, "b": 1, "a": 2, "b": 2}', {"a": 2, "b": 2},
         'the keys "a", "b" stand twice: the last one of each counts'),
        ('{"a": {"x": 1}, "b": {"x": 1}}', {"a": {"x": 1}, "b": {"x": 1}}, None),
        ("7", 7, None),
    ],
)  # fmt: skip
def test_last_one_counts(text: str, value: Any, remark: str | None) -> None:
    """At any depth, and however the key is spelled."""
    assert parse_json(text) == (value, remark)


def test_remark_is_short() -> None:
    """Whatever the keys are."""
    text = "{" + ",".join(f'"{"k" * 500}{n}":1,"{"k" * 500}{n}":2' for n in range(9)) + "}"
    _, remark = parse_json(text)
    assert remark is not None
    assert len(remark) < 250
    assert "and 6 more" in remark


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner:
                    st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_other_values_are_read_without_remark(value: Any) -> None:
    """As `json.loads` reads them."""
    assert parse_json(json.dumps(value)) == (value, None)
