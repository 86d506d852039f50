"""The chain of the audit log shows every change of a line or of its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.audit.chain import GENESIS, MAX_LINE, make_line, torn
from tests.audit.logs import OPENED, chained, fault

json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
logs = st.lists(
    st.dictionaries(st.sampled_from(["event", "time", "name", "ä\u2028"]), json_values),
    min_size=1,
    max_size=5,
).map(chained)


@given(logs)
def test_what_was_written_holds_and_reads_back(lines: list[bytes]) -> None:
    assert fault(b"".join(lines)) is None
    assert all(line.isascii() and line.count(b"\n") == 1 for line in lines)


@given(logs, st.data())
def test_a_change_of_any_byte_shows(lines: list[bytes], data: st.DataObject) -> None:
    text = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    found = fault(bytes(text))
    assert found is not None
    line = b"".join(lines)[:at].count(b"\n") + 1
    number = int(found.split()[1].rstrip(":"))
    # A newline more or less moves the text after it, where the fault is seen at the latest.
    assert line <= number <= line + 1


@given(logs, st.data())
def test_a_line_gone_doubled_or_moved_shows(lines: list[bytes], data: st.DataObject) -> None:
    how = data.draw(st.sampled_from(["gone", "doubled", "moved"]))
    at = data.draw(st.integers(0, len(lines) - 2))
    if how == "gone":
        del lines[at]
    elif how == "doubled":
        to = data.draw(st.integers(0, len(lines)))
        lines.insert(to, lines[at])
    else:
        to = data.draw(st.integers(at + 1, len(lines) - 1))
        lines[at], lines[to] = lines[to], lines[at]
    assert fault(b"".join(lines)) is not None


@given(logs, st.data())
def test_what_is_cut_off_within_a_line_shows(lines: list[bytes], data: st.DataObject) -> None:
    text = b"".join(lines)
    kept = data.draw(st.integers(0, len(text) - 1))
    whole = text[:kept].endswith(b"\n")
    assert (fault(text[:kept]) is None) == whole


def test_a_line_of_another_log_does_not_fit() -> None:
    one = chained([{"event": "a"}, {"event": "b"}])
    other, _ = make_line(2, "ab" * 32, {"event": "a"})
    assert "from elsewhere" in str(fault(one[0] + other + one[2]))


def test_a_log_begins_with_its_opening() -> None:
    line, _ = make_line(1, GENESIS, {"event": "run_started"})
    assert "not the first line" in str(fault(line))
    later, _ = make_line(1, GENESIS, {**OPENED, "version": 2})
    assert "not the first line of an audit log of version 1" in str(fault(later))
    assert fault(b"") == "line 1: the log is empty"


@pytest.mark.parametrize("junk", [b"\n", b"{}\n", b"\xff\x00\n", b'{"seq":2}\n', b"null\n"])
def test_lines_from_elsewhere_are_faults(junk: bytes) -> None:
    first, last = chained([{"event": "a"}])
    assert str(fault(first + junk + last)).startswith("line 2: ")
    assert str(fault(first + last + junk)).startswith("line 3: ")


def test_a_fragment_holds_only_with_the_line_that_names_it() -> None:
    first, second = chained([{"event": "torn", **torn(b'{"seq":2,"pr')}])
    assert fault(first + b'{"seq":2,"pr\n' + second) is None
    assert str(fault(first + b'{"seq":2,"pR\n' + second)).startswith("line 2: ")
    assert "is gone" in str(fault(first + second))
    assert str(fault(first + b'{"seq":2,"pr\n')).startswith("line 2: ")


def test_the_fields_of_the_chain_are_its_own() -> None:
    for name in ("seq", "prev", "hash"):
        with pytest.raises(ValueError, match="own fields"):
            make_line(1, GENESIS, {name: 1})
    with pytest.raises(ValueError, match="at most"):
        make_line(1, GENESIS, {"event": "x" * MAX_LINE})
