"""The choice among a file's forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.assets.http.test_response import asset_of
from version_affinity.assets.http.negotiation import LONGEST, parse_accept_encoding, select_representation

CONTENT = b"x" * 100
# By size: br, zstd, gzip, and what is not compressed.
ALL = {"br": b"b" * 10, "zstd": b"z" * 20, "gzip": b"g" * 30}
CHROMIUM = "gzip, deflate, br, zstd"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        # nothing is said
        (None, ""),
        ("", ""),
        (" ", ""),
        # browsers and others: no q-values, the smallest
        (CHROMIUM, "br"),
        ("gzip, deflate", "gzip"),
        ("gzip, zstd", "zstd"),
        ("deflate", ""),
        ("*", "br"),
        ("identity", ""),
        ("identity, gzip", "gzip"),
        # a higher q-value wins over the size
        ("br;q=0.1, gzip", "gzip"),
        ("br;q=0.1", "br"),
        ("br;q=0.5, gzip;q=0.5", "br"),
        ("br;q=0.501, gzip;q=0.502", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("identity;q=0.5, gzip;q=0.4", ""),
        ("identity;q=0.5, gzip;q=0.6", "gzip"),
        # q=0: not acceptable
        ("gzip;q=0", ""),
        ("gzip;q=0.000, br;q=0.0", ""),
        ("br;q=0, *", "zstd"),
        ("identity;q=1, *;q=0", ""),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("*;q=0, gzip", "gzip"),
        # the asterisk: whatever is not named, identity too
        ("*;q=0.5, gzip;q=0.6", "gzip"),
        ("*;q=0.5, br;q=0.4", "zstd"),
        ("gzip;q=0.3, *;q=0.8, br;q=0, zstd;q=0", ""),
        # nothing is acceptable: as it is
        ("identity;q=0", ""),
        ("*;q=0", ""),
        ("identity;q=0, *;q=0", ""),
        # case, blanks, the alias, empty members, parameters
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("X-GZIP;Q=0.5", "gzip"),
        ("gzip ; q=0.5", "gzip"),
        ("gzip;\tq=0.5", "gzip"),
        (", gzip ,,", "gzip"),
        # the first of several for one coding
        ("gzip;q=0, gzip", ""),
        ("gzip, x-gzip;q=0", "gzip"),
        # a member that breaks the grammar is as good as absent
        ("gzip;q=2", ""),
        ("gzip;q=1.001", ""),
        ("gzip;q=0.1234", ""),
        ("gzip;q=-1", ""),
        ("gzip;q=.5", ""),
        ("gzip;q=", ""),
        ("gzip;q", ""),
        ("gzip;q = 1", ""),
        ("gzip;level=9", ""),
        ("gzip;q=1;q=1", ""),
        ("gzip;q=\u0661", ""),
        ("gzip br", ""),
        ("gzip;q=nan, br;q=inf", ""),
        ("gzip\n", ""),
        ("\xff, gzip", "gzip"),
        ("gzip;q=2, br;q=0.1", "br"),
        # too long to be read
        ("gzip," * 20_000, ""),
        ("gzip" + " " * (LONGEST - 4), "gzip"),
        ("gzip" + " " * (LONGEST - 3), ""),
    ],
)
def test_select(field, expected):
    """The highest q-value wins, among equals the smallest; what is not understood counts for nothing."""
    assert select_representation(asset_of(CONTENT, ALL), field).encoding == expected


@pytest.mark.parametrize(
    ("variants", "field", "expected"),
    [
        ({}, CHROMIUM, ""),
        ({"gzip": b"g"}, "br", ""),
        ({"gzip": b"g"}, CHROMIUM, "gzip"),
        ({"gzip": b"g" * 100}, "identity, gzip", ""),  # no smaller: as it is
        ({"gzip": b"g", "br": b"b" * 2}, CHROMIUM, "gzip"),
    ],
)
def test_variants(variants, field, expected):
    """What is chosen is what there is."""
    assert select_representation(asset_of(CONTENT, variants), field).encoding == expected


@given(st.text() | st.lists(st.sampled_from(["gzip", "br", "*", "identity", ";q=", "0", "1", ".5", ","])).map("".join))
def test_total(field):
    """Whatever stands in the field, some form is chosen, the same the second time."""
    asset = asset_of(CONTENT, ALL)
    chosen = select_representation(asset, field)
    assert chosen is asset or chosen in asset.variants
    assert select_representation(asset, field) is chosen
    assert all(0 <= weight <= 1 for weight in parse_accept_encoding(field).values())


@given(st.dictionaries(st.sampled_from([*ALL, "identity"]), st.integers(0, 1000), min_size=1))
def test_the_highest(weights):
    """No form that is named has a higher q-value than the chosen, or as high a one and fewer bytes."""
    field = ", ".join(f"{coding};q={weight / 1000:.3f}" for coding, weight in weights.items())
    asset = asset_of(CONTENT, ALL)
    chosen = select_representation(asset, field)
    weight = weights.get(chosen.encoding or "identity", 0)
    sizes = {"identity": asset.size, **{variant.encoding: variant.size for variant in asset.variants}}
    assert all(
        other < weight or (other == weight and sizes[coding] >= chosen.size) or other == 0
        for coding, other in weights.items()
    )
