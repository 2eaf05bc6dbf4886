"""TrainFileBundle against a decoder of its own, written from the protobuf specification."""

from collections.abc import Iterator

import pytest

from wire.files import TrainFile, bundle_size, encode_bundle


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            assert at + value <= len(data), "a field is longer than its message"
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            assert tag & 7 == 0, f"an unexpected wire type: {tag & 7}"
            yield tag >> 3, value


def decode_bundle(data: bytes) -> list[tuple[str, bytes, int]]:
    found = []
    for number, content in fields(data):
        assert number == 1
        assert isinstance(content, bytes)
        file = dict(fields(content))
        name, body = file.get(1, b""), file.get(2, b"")
        assert isinstance(name, bytes)
        assert isinstance(body, bytes)
        found.append((name.decode(), body, int(file.get(3, 0))))
    return found


@pytest.mark.parametrize("sizes", [[0], [1], [127], [128], [16_383], [16_384], [3_000_000], [5, 0, 300, 7]])
def test_a_bundle_is_read_as_it_was_written(sizes: list[int]) -> None:
    files = [TrainFile(f"model-{place}.onnx", b"\x00\xff" * size) for place, size in enumerate(sizes)]
    assert decode_bundle(encode_bundle(files)) == [(f.name, f.content, index) for index, f in enumerate(files)]


def test_a_bundle_of_many_files_numbers_them_from_zero() -> None:
    bundle = encode_bundle([TrainFile("f", b"")] * 300)
    assert [index for _, _, index in decode_bundle(bundle)] == list(range(300))


def test_names_beyond_ascii_are_utf_8() -> None:
    assert decode_bundle(encode_bundle([TrainFile("größe.onnx", b"x")])) == [("größe.onnx", b"x", 0)]


def test_the_bytes_are_those_that_the_protobuf_compiler_writes() -> None:
    """Golden bytes: what `protoc --encode` makes of the same two files."""
    bundle = encode_bundle([TrainFile("model.onnx", b"\x01\x02"), TrainFile("metrics.json", b"[]")])
    assert bundle.hex() == "0a100a0a6d6f64656c2e6f6e6e7812020102" + "0a140a0c6d6574726963732e6a736f6e12025b5d1801"


def test_a_file_that_comes_in_chunks_is_written_the_same() -> None:
    chunks = [TrainFile("model.onnx", iter([b"ab", b"", b"c" * 300]), 302), TrainFile("metrics.json", b"[]")]
    size = bundle_size(chunks)
    whole = encode_bundle([TrainFile("model.onnx", b"ab" + b"c" * 300), TrainFile("metrics.json", b"[]")])
    assert (encode_bundle(chunks), size) == (whole, len(whole))


def test_an_empty_bundle_is_no_bytes() -> None:
    assert encode_bundle([]) == b""
