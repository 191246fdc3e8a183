"""The conformance data of rule files, made ready: bulk inputs written out."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import conformance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_REPEATED = re.compile(r"\{\{(.)\*(\d+)\}\}")


def written_out(text: str) -> str:
    """Write ``{{c*n}}`` out: the character c, n times."""
    return _REPEATED.sub(lambda match: match[1] * int(match[2]), text)


def input_of(case: dict[str, Any]) -> str:
    """Return the file that a case is about."""
    if "input" in case:
        return str(case["input"])
    segments = []
    for segment in case["input_template"]:
        if "lit" in segment:
            segments.append(segment["lit"])
        else:
            numbers = range(segment["start"], segment["start"] + segment["count"])
            segments += [segment["repeat"].replace("{i}", str(number)) for number in numbers]
    return written_out("\n".join(segments))


def cases_of(file: str, kind: str) -> list[dict[str, Any]]:
    """Return the cases of a kind; none without the data."""
    return [case for case in conformance(file) or () if case["kind"] == kind]


@contextmanager
def limited(options: dict[str, Any], limits: dict[str, tuple[ModuleType, str]]) -> Iterator[None]:
    """Read under a case's limits: the data's name of each to the module and the name that it has there."""
    with pytest.MonkeyPatch.context() as patch:
        for name in options.keys() & limits:
            patch.setattr(*limits[name], options[name])
        yield
