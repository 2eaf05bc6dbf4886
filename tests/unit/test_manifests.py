"""What a build says of itself is taken only when it is whole and sane; each refusal is a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from coordinator import manifests
from coordinator.errors import RejectedBuild
from tests.builds import CONFIGURATION, MANIFEST

WALK = MANIFEST["behaviours"]["Walk"]
LAUGHS = b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 105))


def changed(**its: Any) -> dict[str, Any]:
    return {name: value for name, value in (MANIFEST | its).items() if value is not None}


def walk(**its: Any) -> dict[str, Any]:
    return changed(behaviours={"Walk": {name: value for name, value in (WALK | its).items() if value is not None}})


def kept(manifest: Any, find: Callable[[str], bytes | None]) -> dict[str, Any]:
    return manifests.configured(manifest, manifests.check(manifest, "maze", "1"), find)


def refusal(manifest: Any, configuration: bytes | None = CONFIGURATION) -> str:
    with pytest.raises(RejectedBuild) as caught:
        kept(manifest, lambda name: configuration)
    assert caught.value.detail.endswith(".")
    return caught.value.detail


def test_a_manifest_is_kept_with_its_configurations_and_with_what_is_unknown_in_it() -> None:
    manifest = changed(studio="Maze Makers")
    its = kept(manifest, lambda name: CONFIGURATION)
    assert its["studio"] == "Maze Makers"
    assert its["behaviours"]["Walk"]["steps"] == WALK["steps"]
    assert its["behaviours"]["Walk"]["configuration"]["behaviors"]["Walk"]["trainer_type"] == "ppo"


def test_a_configuration_in_the_manifest_needs_no_file() -> None:
    inside = {"behaviors": {"Walk": {"trainer_type": "sac"}}}
    manifest = walk(config=None, configuration=inside)
    its = kept(manifest, lambda name: None)
    assert its["behaviours"]["Walk"]["configuration"] == inside


def test_a_configuration_without_a_name_is_looked_for_under_the_behaviours() -> None:
    manifest, asked = walk(config=None), []

    def find(name: str) -> bytes:
        asked.append(name)
        return CONFIGURATION

    kept(manifest, find)
    assert asked == ["Walk.yaml"]


def test_a_gymnasium_environment_needs_an_id_and_no_executable() -> None:
    manifest = changed(kind="gymnasium", executable=None, gym_id="CartPole-v1")
    its = kept(manifest, lambda name: b"algorithm: DQN")
    assert its["behaviours"]["Walk"]["configuration"] == {"algorithm": "DQN"}


@pytest.mark.parametrize(("manifest", "said"), [
    ({}, "behaviours: Field required"),
    (changed(executable=None), "names no executable"),
    (changed(executable=["a"]), "executable: Input should be a valid string"),
    (changed(executable="a\\b"), "executable"),
    (changed(kind="gymnasium"), '"gym_id"'),
    (changed(kind="godot"), "kind 'godot'; there is gymnasium, unity"),
    (changed(env_id="other"), "the env_id 'other', but it was uploaded as 'maze'"),
    (changed(version="2"), "the version '2', but it was uploaded as '1'"),
    (changed(areas=None), "areas: Field required"),
    (changed(areas={"min": 4, "max": 1}), "min is 4, more than max, which is 1"),
    (changed(areas={"min": 0, "max": 1}), "areas.min"),
    (changed(areas={"min": 1, "max": 10**12}), "areas.max"),
    (changed(num_envs={"min": "1", "max": 2}), "num_envs.min"),
    (changed(behaviours={}), "behaviours: Dictionary should have at least 1 item"),
    (changed(behaviours=[]), "behaviours"),
    (changed(behaviours={"B" * 201: WALK}), "behaviours"),
    (changed(behaviours={f"B{n}": WALK for n in range(65)}), "behaviours: Dictionary should have at most 64 items"),
    (changed(arguments="-x"), "arguments"),
    (walk(steps=None), "behaviours.Walk.steps: Field required"),
    (walk(steps={"min": 1.5, "max": 2}), "behaviours.Walk.steps.min"),
    (walk(steps={"min": True, "max": 2}), "behaviours.Walk.steps.min"),
    (walk(observation_shapes=[[0]]), "behaviours.Walk.observation_shapes"),
    (walk(actions={"continuous": -1}), "behaviours.Walk.actions.continuous"),
    (walk(hyperparameters={"learning_rate": {"min": "low"}}), "behaviours.Walk.hyperparameters"),
    (walk(configuration="text"), "behaviours.Walk.configuration"),
    (walk(configuration={"behaviors": {"Run": {}}}), "no 'Walk' under 'behaviors'"),
    (walk(configuration={"behaviors": {"Walk": None}}), "no 'Walk' under 'behaviors'"),
    (walk(configuration={"behaviors": {"Walk": {"a": "x" * 1_100_000}}}), "together may have 1024 kB"),
], ids=str)  # fmt: skip
def test_a_manifest_that_is_not_right_is_refused(manifest: Any, said: str) -> None:
    assert said in refusal(manifest)


@pytest.mark.parametrize(("configuration", "said"), [
    (None, "'Walk.yaml', is not in the archive"),
    (b"", "no mapping"), (b"- Walk", "no mapping"), (b"Walk", "no mapping"),
    (b"behaviors:", "no 'Walk' under 'behaviors'"), (b"behaviors: [Walk]", "no 'Walk' under 'behaviors'"),
    (b"behaviors: {Run: {}}", "no 'Walk' under 'behaviors'"),
    (b"behaviors: {Walk: {a: 2026-01-01}}", "JSON does not know"),
    (b"behaviors: {Walk: {a: .nan}}", "JSON does not know"),
    (b"behaviors: {Walk: {a: !!binary aGk=}}", "JSON does not know"),
    (b"behaviors: {Walk: {a: !!set {b}}}", "JSON does"),
    (b'behaviors: {Walk: {a: "\\0"}}', "no NUL"),
    (b"!!python/object/apply:os.system [exit]", "could not determine a constructor"),
    (b"behaviors: {Walk: !unknown {}}", "could not determine a constructor"),
    (LAUGHS, "it has an alias"), (b"a: &a\n  <<: *a\n", "it has an alias"),
    (b"{" * 20_000, "not plain YAML"), (b"[" * 20_000 + b"]" * 20_000, "not plain YAML"),
    (b"? [a]\n: 1", "not plain YAML"), (b"a: \xff", "not plain YAML"), (b"a: b: c", "not plain YAML"),
    (b"a: @", "not plain YAML"), (b"a: 1\n---\nb: 2", "not plain YAML"), (b"a: \0", "not plain YAML"),
    (b"#" * 10 * 1024 * 1024, "more than 256 kB"),
], ids=lambda it: str(it)[:40])  # fmt: skip
def test_a_configuration_that_is_not_plain_is_refused(configuration: bytes | None, said: str) -> None:
    assert said in refusal(MANIFEST, configuration)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a": NaN}', b"[" * 100_000, b"\xff", b"x" * 300_000])
def test_a_manifest_that_cannot_be_read_is_refused(raw: bytes) -> None:
    with pytest.raises(RejectedBuild, match=r"^Its manifest\.json"):
        manifests.read(raw)


def test_a_manifest_is_read() -> None:
    assert manifests.read(json.dumps(MANIFEST).encode()) == MANIFEST
