"""JSON as it travels: what is not an object of finite numbers is refused with a sentence."""

import pytest

from wire.codec import NotAMessage, decode, encode

OBJECT = {"text": "ä \u2028 \"'\\", "n": 3, "x": 0.1, "none": None, "list": [1, {"a": []}]}


@pytest.mark.parametrize("message", [{}, OBJECT])
def test_what_is_encoded_is_decoded_to_the_same(message: dict[str, object]) -> None:
    assert decode(encode(message)) == message
    assert decode(encode(message).encode()) == message


def test_the_encoding_is_compact_and_on_one_line() -> None:
    assert encode({"a": [1, 2], "b": "x\ny"}) == '{"a":[1,2],"b":"x\\ny"}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_know_are_never_encoded(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"x": number})


@pytest.mark.parametrize("raw", [
    "", " ", "{", "nonsense", "[1]", '"text"', "1", "null", "true", '{"x":NaN}', '{"x":Infinity}', '{"x":-Infinity}',
    '{"x":1e999}', '{"x":-1e999}', '{"x":' + "9" * 5_000 + "}", '{"a":1}{"b":2}', "{'a':1}", b"\xff\xfe{}", b"\x00\x01",
    "[" * 100_000, '{"a":' * 100_000,
])  # fmt: skip
def test_what_is_no_message_is_refused_with_a_sentence(raw: str | bytes) -> None:
    with pytest.raises(NotAMessage, match=r"^The message .+\.$"):
        decode(raw)
