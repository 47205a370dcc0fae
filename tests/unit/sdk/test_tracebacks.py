from __future__ import annotations

import json

import pytest

from tiphys.sdk.tracebacks import describe, headline, is_user_code


def deep(levels: int) -> None:
    if levels:
        json.loads("[" * 3 + "x", object_hook=None, cls=Deep)
    raise ValueError("too deep")


class Deep(json.JSONDecoder):
    def decode(self, s: str, *_: object) -> object:
        return super().decode(s)


def caught(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001  # returned
        return error
    raise AssertionError("nothing was raised")


def test_describes_type_message_and_location():
    error = caught(deep, 0)
    described = describe(error)
    assert (described["type"], described["message"]) == ("ValueError", "too deep")
    assert described["location"] == f"{__file__}:{deep.__code__.co_firstlineno + 3}"
    assert described["traceback"].splitlines()[-1] == "ValueError: too deep"
    assert "in deep" in described["traceback"]


def test_the_location_is_the_innermost_frame_of_the_user():
    error = caught(deep, 1)
    described = describe(error)
    assert described["type"] == "json.decoder.JSONDecodeError"
    assert described["location"] == f"{__file__}:{Deep.decode.__code__.co_firstlineno + 1}"


def test_runs_of_library_frames_are_folded():
    source = "def f(n):\n    if n: return f(n - 1)\n    raise KeyError('k')\n"
    names: dict[str, object] = {}
    exec(compile(source, "/x/site-packages/library/core.py", "exec"), names)
    text = describe(caught(names["f"], 9))["traceback"]
    assert "… 8 frames in library …" in text
    assert text.count("site-packages/library/core.py") == 2


def test_frames_of_compiled_libraries_are_folded():
    import pandas as pd

    def missing():
        return pd.DataFrame({"a": [1]})["b"]

    described = describe(caught(missing))
    assert "frames in pandas …" in described["traceback"]
    assert described["location"] == f"{__file__}:{missing.__code__.co_firstlineno + 1}"


def test_causes_are_kept():
    def chained():
        try:
            {}["x"]
        except KeyError as error:
            raise RuntimeError("no x") from error

    text = describe(caught(chained))["traceback"]
    assert text.index("KeyError: 'x'") < text.index("direct cause") < text.index("RuntimeError: no x")


def test_groups_and_notes_are_kept():
    def grouped():
        error = ValueError("inner")
        error.add_note("a note")
        raise ExceptionGroup("several", [error])

    text = describe(caught(grouped))["traceback"]
    assert "several" in text
    assert "ValueError: inner" in text
    assert "a note" in text


def test_an_exception_without_frames_is_described():
    assert describe(ValueError("bare")) == {
        "type": "ValueError",
        "message": "bare",
        "traceback": "ValueError: bare\n",
        "location": None,
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError("x"), "ValueError: x"), (KeyboardInterrupt(), "KeyboardInterrupt"), (SystemExit(3), "SystemExit: 3")],
)
def test_headline(error, expected):
    assert headline(error) == expected


def test_a_broken_text_does_no_harm():
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert headline(Broken()).endswith("Broken: <its text cannot be shown: RuntimeError>")
    assert describe(Broken())["message"].startswith("<its text")


def test_tells_user_code_from_the_rest():
    assert is_user_code(__file__)
    assert is_user_code("<ipython-input-1>")
    assert not is_user_code(json.__file__)
    assert not is_user_code(pytest.__file__)
    assert not is_user_code(describe.__code__.co_filename)
