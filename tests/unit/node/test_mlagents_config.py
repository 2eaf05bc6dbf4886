"""The configuration and the command line of one job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.trainers.base import EnvironmentBuild, Machine, TrainingOrder, TrainingRefused
from node.trainers.configuration import behaviour_yaml
from node.trainers.mlagents import MLAgentsTrainer
from node.trainers.mlagents_config import job_yaml

CONTENT: dict[str, Any] = {
    "behaviors": {
        "Walk": {"trainer_type": "ppo", "max_steps": 7, "threaded": True, "hyperparameters": {"epsilon": 0.1}}
    },
    "environment_parameters": {"wind": 1.0},
    "env_settings": {"env_path": "/bin/sh"},
    "checkpoint_settings": {"results_dir": "/"},
}
MANIFEST = {"executable": "walk.x86_64", "arguments": ["--level", "2"], "behaviours": {"Walk": {"config": "Walk.yaml"}}}
MACHINE = Machine("/usr/bin/python3", {"NODE_TOKEN": "secret", "PATH": "/bin", "LC_ALL": "C"}, threads=3)


@pytest.fixture
def order(tmp_path: Path) -> TrainingOrder:
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "walk.x86_64").write_text("#!/bin/sh")
    (folder / "walk.x86_64").chmod(0o755)
    (folder / "Walk.yaml").write_text(yaml.safe_dump(CONTENT))
    return TrainingOrder("run-1", 1, "Walk", EnvironmentBuild(folder, MANIFEST), 100_000, 8, 42, 21_000)


def test_the_jobs_steps_win_and_the_behaviours_settings_stay(order: TrainingOrder) -> None:
    walk = job_yaml(order, CONTENT)["behaviors"]["Walk"]
    assert walk["max_steps"] == 100_000
    assert walk["hyperparameters"] == {"epsilon": 0.1}
    assert walk["threaded"] is False


def test_a_short_job_still_shows_twenty_summaries_and_ten_checkpoints(order: TrainingOrder) -> None:
    walk = job_yaml(order, CONTENT)["behaviors"]["Walk"]
    assert (walk["summary_freq"], walk["checkpoint_interval"]) == (5_000, 10_000)


def test_more_summaries_than_needed_are_left_alone(order: TrainingOrder) -> None:
    content = {"behaviors": {"Walk": {"summary_freq": 100}}}
    assert job_yaml(order, content)["behaviors"]["Walk"]["summary_freq"] == 100


def test_a_build_cannot_choose_paths(order: TrainingOrder) -> None:
    assert set(job_yaml(order, CONTENT)) == {"behaviors", "environment_parameters"}


def test_the_builds_own_file_is_never_changed(order: TrainingOrder, tmp_path: Path) -> None:
    before = (order.environment.folder / "Walk.yaml").read_bytes()
    MLAgentsTrainer().prepare(order, tmp_path / "1", MACHINE)
    assert (order.environment.folder / "Walk.yaml").read_bytes() == before
    assert yaml.safe_load((tmp_path / "1" / "trainer.yaml").read_text())["behaviors"]["Walk"]["max_steps"] == 100_000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("behaviors: {Run: {}}", 'The configuration has no behaviour "Walk" (it has: Run).'),
        ("behaviors: {Walk: 7}", "Each entry of `behaviors:` in the environment's configuration must be a mapping."),
        ("a: [1\nb: 2", "The environment's configuration Walk.yaml is not valid YAML (line 2)."),
        ("just words", "The environment's configuration Walk.yaml does not contain `behaviors:`."),
    ],
)
def test_a_bad_configuration_is_explained(order: TrainingOrder, text: str, sentence: str) -> None:
    (order.environment.folder / "Walk.yaml").write_text(text)
    with pytest.raises(TrainingRefused) as refused:
        job_yaml(order, behaviour_yaml(order))
    assert str(refused.value) == sentence


def test_the_command_line_ends_with_the_environments_own_arguments(order: TrainingOrder, tmp_path: Path) -> None:
    argv = MLAgentsTrainer().prepare(order, tmp_path / "1", MACHINE).argv
    assert argv[:4] == ("/usr/bin/python3", "-m", "node.trainers.mlagents_launcher", "trainer.yaml")
    assert {"--seed=42", "--base-port=21000", "--num-areas=8", "--torch-device=cpu", "--no-graphics"} <= set(argv)
    assert argv[-3:] == ("--env-args", "--level", "2")
    assert "--resume" not in argv


def test_resuming_puts_the_checkpoint_where_the_trainer_looks(order: TrainingOrder, tmp_path: Path) -> None:
    (tmp_path / "saved.pt").write_bytes(b"weights")
    command = MLAgentsTrainer().prepare(replace(order, resume_from=tmp_path / "saved.pt"), tmp_path / "1", MACHINE)
    assert "--resume" in command.argv
    assert (tmp_path / "1" / "results" / "run-1" / "Walk" / "checkpoint.pt").read_bytes() == b"weights"


def test_the_trainer_gets_no_secret_of_the_node(order: TrainingOrder, tmp_path: Path) -> None:
    environ = MLAgentsTrainer().prepare(order, tmp_path / "1", MACHINE).environ
    assert "NODE_TOKEN" not in environ
    assert (environ["LC_ALL"], environ["TRAINER_THREADS"], environ["PATH"]) == ("C", "3", "/usr/bin:/bin")


@pytest.mark.parametrize("name", ["../../etc", "-x", "", "a/b", "a\nb", "x" * 200])
def test_names_that_are_no_file_names_are_refused(order: TrainingOrder, tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainingRefused):
        MLAgentsTrainer().prepare(replace(order, run_id=name), tmp_path / "1", MACHINE)


@pytest.mark.parametrize(
    ("executable", "sentence"),
    [
        ("../outside", "The environment's manifest names no executable inside its own folder."),
        ("gone", 'The environment\'s executable "gone" is missing.'),
        ("Walk.yaml", 'The environment\'s executable "Walk.yaml" is not executable (chmod +x is missing).'),
    ],
)
def test_an_executable_that_cannot_be_started_is_explained(
    order: TrainingOrder, tmp_path: Path, executable: str, sentence: str
) -> None:
    build = EnvironmentBuild(order.environment.folder, {**MANIFEST, "executable": executable})
    with pytest.raises(TrainingRefused) as refused:
        MLAgentsTrainer().prepare(replace(order, environment=build), tmp_path / "1", MACHINE)
    assert str(refused.value) == sentence


def test_a_trainer_python_that_is_missing_is_the_nodes_fault(order: TrainingOrder, tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused) as refused:
        MLAgentsTrainer().prepare(order, tmp_path / "1", replace(MACHINE, trainer_python="/nowhere/python"))
    assert refused.value.cause == "node"


def test_a_jobs_hyperparameters_lie_over_the_behaviours(order: TrainingOrder) -> None:
    content = {"behaviors": {"Walk": {"trainer_type": "ppo", "hyperparameters": {"epsilon": 0.1, "beta": 0.5},
                                      "network_settings": {"hidden_units": 64, "num_layers": 2}}}}  # fmt: skip
    given = {"epsilon": 0.3, "time_horizon": 32, "network_settings": {"num_layers": 1}}
    walk = job_yaml(replace(order, hyperparameters=given), content)["behaviors"]["Walk"]
    assert walk["hyperparameters"] == {"epsilon": 0.3, "beta": 0.5}
    assert walk["network_settings"] == {"hidden_units": 64, "num_layers": 1}
    assert walk["time_horizon"] == 32


def test_other_behaviours_keep_their_own(order: TrainingOrder) -> None:
    content = {"behaviors": {"Walk": {}, "Run": {"time_horizon": 7}}}
    run = job_yaml(replace(order, hyperparameters={"time_horizon": 32, "beta": 1.0}), content)["behaviors"]["Run"]
    assert (run["time_horizon"], "hyperparameters" in run, run["max_steps"]) == (7, False, 100_000)


def test_the_builds_defaults_lie_below_each_behaviour(order: TrainingOrder) -> None:
    content = {"default_settings": {"time_horizon": 7, "init_path": "/etc/x.pt"}, "behaviors": {"Walk": {}}}
    settled = job_yaml(order, content)
    assert (settled["behaviors"]["Walk"]["time_horizon"], "default_settings" in settled) == (7, False)
    assert "init_path" not in settled["behaviors"]["Walk"]


def test_the_jobs_checkpoint_interval_wins(order: TrainingOrder) -> None:
    walk = job_yaml(replace(order, checkpoint_interval=123), CONTENT)["behaviors"]["Walk"]
    assert (walk["checkpoint_interval"], walk["keep_checkpoints"], walk["even_checkpoints"]) == (123, 5, False)


def test_a_short_resume_of_a_long_run_shows_twenty_summaries_too(order: TrainingOrder) -> None:
    walk = job_yaml(replace(order, max_steps=1_002_000, steps=2_000), CONTENT)["behaviors"]["Walk"]
    assert (walk["summary_freq"], walk["checkpoint_interval"]) == (100, 200)


def test_another_runs_weights_are_given_to_the_ordered_behaviour_only(order: TrainingOrder, tmp_path: Path) -> None:
    content = {"behaviors": {"Walk": {}, "Run": {}}}
    entries = job_yaml(replace(order, initialize_from=tmp_path / "other.pt"), content)["behaviors"]
    assert (entries["Walk"]["init_path"], "init_path" in entries["Run"]) == (str(tmp_path / "other.pt"), False)


def test_a_run_that_goes_on_from_its_own_checkpoint_begins_with_no_other(order: TrainingOrder, tmp_path: Path) -> None:
    both = replace(order, initialize_from=tmp_path / "other.pt", resume_from=tmp_path / "own.pt")
    assert "init_path" not in job_yaml(both, CONTENT)["behaviors"]["Walk"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.demo", "gone.demo"])
def test_a_demonstration_lies_in_the_build_or_nowhere(order: TrainingOrder, path: str) -> None:
    content = {"behaviors": {"Walk": {"reward_signals": {"gail": {"demo_path": path}}}}}
    with pytest.raises(TrainingRefused, match="has no demonstration"):
        job_yaml(order, content)


def test_a_demonstration_of_the_build_is_found(order: TrainingOrder) -> None:
    (order.environment.folder / "expert.demo").write_bytes(b"")
    content = {"behaviors": {"Walk": {"behavioral_cloning": {"demo_path": "expert.demo"}}}}
    walk = job_yaml(order, content)["behaviors"]["Walk"]
    assert walk["behavioral_cloning"]["demo_path"] == str(order.environment.folder.resolve() / "expert.demo")


def test_several_environments_are_asked_for(order: TrainingOrder, tmp_path: Path) -> None:
    assert "--num-envs=3" in MLAgentsTrainer().prepare(replace(order, num_envs=3), tmp_path / "1", MACHINE).argv


def test_a_configuration_of_ten_megabytes_is_not_read(order: TrainingOrder) -> None:
    (order.environment.folder / "Walk.yaml").write_bytes(b"a" * 10_000_000)
    with pytest.raises(TrainingRefused, match=r"Walk\.yaml has more than 262144 bytes\."):
        behaviour_yaml(order)
