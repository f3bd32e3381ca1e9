"""Errors: their place among those of Python."""

import pickle

import pytest

import facepulse


def test_wrong_argument_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="magic") as caught:
        facepulse.measure("face.mp4", method="magic")
    assert isinstance(caught.value, facepulse.UsageError)
    assert isinstance(caught.value, facepulse.FacepulseError)


def test_errors_pass_between_processes() -> None:
    for error in (facepulse.UsageError, facepulse.VideoError, facepulse.NoFaceError, facepulse.TooShortError):
        copied = pickle.loads(pickle.dumps(error("a line")))
        assert type(copied) is error
        assert str(copied) == "a line"
