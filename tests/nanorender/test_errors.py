import pickle

import pytest

from nanorender.errors import LONGEST_LINE, InputError


@pytest.mark.parametrize("text", ["a\nb", "\x1b]0;owned\x07", "a\0b", "\u202egpj", "\udcff", "\r"])
def test_quoted_text_is_one_line_without_control_characters(text):
    line = str(InputError(f"{text} is no image"))
    assert line.isprintable()
    assert line.endswith(" is no image")
    line.encode()


def test_names_in_any_script_are_quoted_unchanged():
    assert str(InputError("größe 粒子.tif is missing")) == "größe 粒子.tif is missing"


def test_long_lines_keep_both_ends():
    line = str(InputError("first " + "x" * 10**6 + " last"))
    assert len(line) < LONGEST_LINE + 10
    assert line.startswith("first x")
    assert line.endswith("x last")


def test_error_of_another_process_has_the_same_text():
    error = InputError("a\nb")
    assert str(pickle.loads(pickle.dumps(error))) == "a\\nb"
