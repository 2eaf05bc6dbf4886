"""What a node says of a recording: taken where it can be true, otherwise refused with a sentence."""

from typing import Any

import pytest

from tests.recording import ODD, piece, sequence_of
from wire.facts import Artifact, BadFact
from wire.recordings import episodes_of, messages

CONTENT, MANIFEST = piece(ODD, ODD[:2])


def artifact(manifest: Any, size: int = len(CONTENT)) -> Artifact:
    return Artifact("recording", "0" * 64, size, manifest, "recording-1.json-seq")


def changed(**fields: Any) -> dict[str, Any]:
    first, second = MANIFEST["episodes"]
    return {"episodes": [first, second | fields]}


def test_episodes_come_out_as_the_bridge_has_written_them() -> None:
    first, second = episodes_of(artifact(MANIFEST))
    assert (first.number, first.start, first.size, first.times_ms) == (1, 0, len(sequence_of(ODD)), (0, 20, 40, 60))
    assert (second.number, second.start, second.start + second.size) == (2, first.size, len(CONTENT))
    assert second.began_at.isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("size", [1, 3, 64, 10_000])
def test_messages_are_byte_for_byte_what_was_sent_in_chunks_of_any_size(size: int) -> None:
    content = sequence_of(ODD)
    assert list(messages(content[at : at + size] for at in range(0, len(content), size))) == ODD


def test_a_sequence_that_breaks_off_gives_what_there_is() -> None:
    assert list(messages([b"\x1e{}\n\x1e{", b""])) == [b"{}", b"{"]
    assert list(messages([])) == []


@pytest.mark.parametrize("manifest", [
    {}, {"episodes": None}, {"episodes": {}}, {"episodes": [1]}, {"episodes": [{}]}, {"episodes": [{}] * 10_001},
    changed(number=1), changed(number=0), changed(number=2**31), changed(number="2"), changed(instance=-1),
    changed(start=1_000_000), changed(size=0), changed(size=2**53), changed(times_ms=[]), changed(times_ms=None),
    changed(times_ms=[0.5]), changed(times_ms=[2, 1]), changed(times_ms=[2**60]), changed(times_ms=[0] * 1_000),
    changed(began_at="yesterday"), changed(began_at="2026-01-02T03:04:05"), changed(began_at=7),
], ids=lambda manifest: str(manifest)[-40:])  # fmt: skip
def test_a_manifest_that_cannot_be_true_is_refused_with_a_sentence(manifest: Any) -> None:
    with pytest.raises(BadFact, match=r"\.$"):
        episodes_of(artifact(manifest))
