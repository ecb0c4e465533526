"""Text that others wrote becomes values or a ValueError with a sentence, however deep it nests."""

import pytest

from kagglekit.parsing import DEEPEST, from_json, from_toml, lone_surrogates

DEEP = (10, DEEPEST + 1, 900, 3000, 100_000)


@pytest.mark.parametrize("depth", [d for d in DEEP if d > DEEPEST])
@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (from_json, lambda n: "[" * n + "]" * n),
        (from_json, lambda n: '{"a":' * n + "1" + "}" * n),
        (from_json, lambda n: "[" * n),
        (from_toml, lambda n: "a = " + "[" * n + "]" * n),
        (from_toml, lambda n: "a = " + "{a = " * n + "1" + "}" * n),
        (from_toml, lambda n: ".".join("a" * min(n, 3000)) + " = 1"),
        (from_toml, lambda n: "[" + ".".join("a" * min(n, 3000)) + "]"),
    ],
)
def test_what_nests_too_deep_is_told(parse, text, depth):
    with pytest.raises(ValueError, match=r"is nested more than 64 levels deep|Expecting value"):
        parse(text(depth))


def test_what_recipes_and_records_nest_passes():
    assert from_json("[" * DEEPEST + "]" * DEEPEST) and from_toml(".".join("a" * DEEPEST) + " = 1")
    assert from_json('{"a": [1, 2.5, null, true, "x"]}') == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_know_is_no_number(word):
    with pytest.raises(ValueError, match=f"{word} is no number of JSON"):
        from_json(f'{{"score": {word}}}')


def test_half_of_a_character_is_found_wherever_it_stands():
    for value in ("\ud800", {"a": ["x", {"b": "\ud800"}]}, {"\ud800": 1}, ("x", ["\ud800"])):
        assert lone_surrogates(value) == "\\ud800"
    assert lone_surrogates({"a": ["x", 1, None, "한글 \U0001f600"]}) is None
