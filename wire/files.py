"""TrainFileBundle as games read it: protobuf (proto3), written by hand because three fields need no code generator.

message TrainFileBundle { repeated TrainFile trainFiles = 1; }
message TrainFile { string name = 1; bytes content = 2; int32 index = 3; }
"""

from dataclasses import dataclass

_LENGTH_DELIMITED, _VARINT = 2, 0


@dataclass(frozen=True, slots=True)
class TrainFile:
    """One file of the bundle; its `index` is its place."""

    name: str
    content: bytes


def encode_bundle(files: list[TrainFile]) -> bytes:
    """The bundle's bytes, files numbered from 0."""
    return b"".join(_field(1, _file(index, file)) for index, file in enumerate(files))


def _file(index: int, file: TrainFile) -> bytes:
    number = _varint(3 << 3 | _VARINT) + _varint(index) if index else b""  # proto3 leaves out zeros
    return _field(1, file.name.encode()) + _field(2, file.content) + number


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
