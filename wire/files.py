"""TrainFileBundle as games read it: protobuf (proto3), written by hand because three fields need no code generator.

message TrainFileBundle { repeated TrainFile trainFiles = 1; }
message TrainFile { string name = 1; bytes content = 2; int32 index = 3; }
"""

from collections.abc import Iterator
from dataclasses import dataclass

_LENGTH_DELIMITED, _VARINT = 2, 0


@dataclass(frozen=True, slots=True)
class TrainFile:
    """One file of the bundle; its `index` is its place. A large one comes in chunks, of a `size` known before."""

    name: str
    content: bytes | Iterator[bytes]
    size: int = 0

    @property
    def length(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.size


def encode_bundle(files: list[TrainFile]) -> bytes:
    """The bundle's bytes, files numbered from 0."""
    return b"".join(stream_bundle(files))


def stream_bundle(files: list[TrainFile]) -> Iterator[bytes]:
    """The same, in chunks."""
    for index, file in enumerate(files):
        head, tail = _around(index, file)
        yield head
        yield from [file.content] if isinstance(file.content, bytes) else file.content
        yield tail


def bundle_size(files: list[TrainFile]) -> int:
    """How many bytes it will have."""
    return sum(len(part) for index, file in enumerate(files) for part in _around(index, file)) + sum(
        file.length for file in files
    )


def _around(index: int, file: TrainFile) -> tuple[bytes, bytes]:
    """What stands before a file's content, and after it."""
    number = _varint(3 << 3 | _VARINT) + _varint(index) if index else b""  # proto3 leaves out zeros
    name = file.name.encode()
    begin = _begin(1, len(name)) + name + _begin(2, file.length)
    return _begin(1, len(begin) + file.length + len(number)) + begin, number


def _begin(number: int, length: int) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
