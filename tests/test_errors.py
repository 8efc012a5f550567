"""The family of errors: what a caller can catch, what a program and a person are told."""

from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlab import errors
from eventlab.errors import EventlabError, Failure, PartialDuplicate, QueryError, WrongExpectedVersion, near, unknown

_FAMILY = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, EventlabError)]


def test_every_error_has_a_code_of_its_own() -> None:
    """A program tells the errors apart by their codes, which are the names in snake case."""
    codes = {kind.code for kind in _FAMILY}
    assert len(codes) == len(_FAMILY)
    assert {"invalid_event", "wrong_expected_version", "store_corrupt"} <= codes


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """Each class of the family is drawn with the builtin that a caller would guess."""
    drawn = errors.__doc__ or ""
    for kind in _FAMILY:
        builtin = [
            base.__name__ for base in kind.__bases__ if not issubclass(base, EventlabError) and base is not Exception
        ]
        assert kind.__name__ in drawn
        if builtin:
            assert f"{kind.__name__} ({builtin[0]})" in drawn


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidEvent, ValueError),
        (errors.InvalidArgument, ValueError),
        (errors.QueryError, ValueError),
        (errors.StoreNotFound, FileNotFoundError),
        (errors.StoreReadOnly, PermissionError),
        (errors.StoreBusy, TimeoutError),
        (errors.StoreFull, OSError),
        (errors.StoreCorrupt, OSError),
    ],
)
def test_the_builtin_that_a_caller_would_guess_catches_it(kind: type[EventlabError], builtin: type[Exception]) -> None:
    """An error is also of the builtin's class, and shows its message and hint, not the builtin's idea of them."""
    with pytest.raises(builtin) as caught:
        raise kind("what is wrong", hint="Do this.")
    assert str(caught.value) == "what is wrong\nDo this."


def test_a_message_without_a_hint_is_one_line() -> None:
    """No empty second line is shown where there is no fix to tell."""
    assert str(EventlabError("what")) == "what"


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidEvent("what", hint="fix"),
        errors.StoreBusy("what", hint="fix"),
        WrongExpectedVersion([Failure("order-1", 0, 3)]),
        errors.IdempotencyConflict("what", event_ids=["a"]),
        PartialDuplicate(known=["a"], new=["b"]),
        QueryError("what", hint="fix", place="line 1", matches=["events"]),
    ],
)
def test_an_error_crosses_processes_whole(error: EventlabError) -> None:
    """An error of a worker process arrives with its message, hint and facts."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_every_violated_expectation_is_named() -> None:
    """All streams, what was expected of them and what they are; and what to do."""
    error = WrongExpectedVersion([Failure("order-1", 0, 3), Failure("customer-c1", "exists", 0)])
    assert error.message == (
        "stream 'order-1' is at version 3, expected 0; stream 'customer-c1' is at version 0, expected exists"
    )
    assert "Read the stream again" in error.hint
    assert [failure.actual for failure in error.failures] == [3, 0]


def test_a_partial_duplicate_counts_and_names_a_few() -> None:
    """Of a thousand known ids, five are shown, all are in ``known``."""
    error = PartialDuplicate(known=[f"id-{n}" for n in range(1000)], new=["x"])
    assert error.message == "1000 of 1001 event ids are in the log already: id-0, id-1, id-2, id-3, id-4"
    assert len(error.known) == 1000


def test_near_names_are_found_whatever_their_case() -> None:
    """The nearest known name comes first, in its own spelling."""
    assert near("orderplacd", ["OrderPaid", "OrderPlaced", "x"])[0] == "OrderPlaced"
    assert near("zzz", ["OrderPaid"]) == []


def test_an_unknown_name_is_told_with_the_nearest_and_those_that_exist() -> None:
    """Message, hint and matches are ready for an error."""
    message, hint, matches = unknown("relation", "evnts", ["streams", "events"])
    assert message == "no relation 'evnts'. Did you mean 'events'?"
    assert hint == "There are: events, streams"
    assert matches == ["events"]
    assert unknown("state", "x", [])[1] == "There is no state yet."
    assert unknown("type", "x", [f"t{n:02}" for n in range(30)])[1].endswith("t19, …")


@given(st.text(), st.lists(st.text(), max_size=30))
def test_any_names_can_be_compared(name: str, known: list[str]) -> None:
    """Whatever the names, the matches are known names, at most three."""
    message, _, matches = unknown("field", name, known)
    assert repr(name) in message
    assert len(matches) <= 3
    assert set(matches) <= set(known)
