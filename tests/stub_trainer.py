#!/usr/bin/env -S python3 -I -S
"""A trainer that learns nothing, quickly: stands where TRAINER_PYTHON stands, so that a node's own code runs around it.

It keeps to what the node expects of that Python with ML-Agents in it: it says what is installed, trains, and checks
models. A training starts its environments as ML-Agents does, starts one that died once again, makes steps as long as
they answer, tells facts, writes checkpoints and a model, and saves when it is interrupted. `stub.json` beside the
environment's executable changes how: see DEFAULTS. Standard library only, and little of it: it starts in 20 ms.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

DEFAULTS = {
    "rate": 2_000,  # steps a second
    "model_bytes": 10_000,
    "on_interrupt": "save",  # or "ignore"
    "error": None,  # told as the trainer's error instead of training: {"type": ..., "message": ...}
    "exit_code": None,  # ends with it, without a word
    "stand_still_at": None,  # step after which nothing happens any more
    "linger_seconds": 0,  # for which it stays, environments and all, when it has written its model
}
LOOK_SECONDS = 0.02
asked_to_stop = False


def main():
    if sys.argv[1] == "-c":
        names, _ = json.loads(sys.argv[3])
        print(json.dumps({"python": "3.11.0", "packages": dict.fromkeys(names, "1.0"), "gpus": []}))
    elif sys.argv[2] == "node.model_check":
        check_model(*sys.argv[3:])
    else:
        Training(sys.argv[3:]).run()


def check_model(path, expected):
    """As node.model_check says it of a model that can be used."""
    promised = json.loads(expected)
    error = None if os.path.isfile(path) else "there is none"
    print(
        json.dumps(
            {
                "error": error,
                "observation_shapes": promised["observation_shapes"],
                "actions": promised["actions"],
                "inputs": {},
                "outputs": {},
                "opset": 9,
                "versions": {},
            }
        )
    )


class Training:
    def __init__(self, arguments):
        options = dict(word.partition("=")[::2] for word in arguments if word.startswith("--"))
        with open(arguments[0], encoding="utf-8") as file:
            config = file.read()
        self.max_steps = number_in(config, "max_steps", 1_000)
        self.interval = number_in(config, "checkpoint_interval", self.max_steps)
        self.behaviour = re.search(r"^behaviors:\s+(.+?):", config)[1]
        self.run_id, self.executable = options["--run-id"], options["--env"]
        self.num_envs, self.base_port = int(options["--num-envs"]), int(options["--base-port"])
        self.results = os.path.join("results", self.run_id)
        self.folder = os.path.join(self.results, self.behaviour)
        self.facts = int(os.environ["TRAINER_FACTS_FD"])
        self.settings = DEFAULTS | settings_beside(self.executable)
        self.step = (
            number_in(read(os.path.join(self.folder, "checkpoint.pt")), "step", 0) if "--resume" in options else 0
        )
        self.saved, self.restarts, self.told_alive = self.step, 0, 0.0

    def run(self):
        global asked_to_stop

        def stop(number, frame):
            global asked_to_stop
            asked_to_stop = self.settings["on_interrupt"] != "ignore"

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        if self.settings["exit_code"] is not None:
            sys.exit(self.settings["exit_code"])
        if self.settings["error"]:
            self.fail(**self.settings["error"])
        os.makedirs(self.folder, exist_ok=True)
        self.environments = [self.start(number) for number in range(self.num_envs)]
        self.tell("connected", behaviours=[self.behaviour])
        self.train()

    def start(self, number):
        command = [self.executable, "--mlagents-port", str(self.base_port + number)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def train(self):
        began, start, summary = time.monotonic(), self.step, max(1, self.max_steps // 10)
        told = self.step // summary
        while self.step < self.max_steps and not asked_to_stop:
            time.sleep(LOOK_SECONDS)
            if not self.are_there():
                self.fail("UnityEnvironmentException", "Environment shut down with return code -9")
            if any(is_stopped(its.pid) for its in self.environments) or self.stands_still():
                began, start = time.monotonic(), self.step
                continue
            self.step = min(self.max_steps, start + int((time.monotonic() - began) * self.settings["rate"]))
            self.tell_alive()
            for summary_number in range(told + 1, self.step // summary + 1):
                self.tell_metrics(summary_number * summary)
            told = self.step // summary
            if self.step - self.saved >= self.interval:
                self.save()
        self.save()
        write(os.path.join(self.results, f"{self.behaviour}.onnx"), self.model())
        time.sleep(self.settings["linger_seconds"])
        for its in self.environments:
            its.kill()
        self.tell("interrupted" if asked_to_stop else "finished")

    def stands_still(self):
        at = self.settings["stand_still_at"]
        return at is not None and self.step >= at

    def are_there(self):
        """Starts an environment that died once again, as ML-Agents does; False when one has died twice."""
        for number, its in enumerate(self.environments):
            if its.poll() is not None:
                self.restarts += 1
                if self.restarts > 1:
                    return False
                self.environments[number] = self.start(number)
        return True

    def save(self):
        self.saved = self.step
        path = os.path.join(self.folder, f"{self.behaviour}-{self.step}.pt")
        model = os.path.join(self.folder, f"{self.behaviour}-{self.step}.onnx")
        write(path, f"step: {self.step}\n".encode())
        write(os.path.join(self.folder, "checkpoint.pt"), f"step: {self.step}\n".encode())
        write(model, self.model())
        self.tell("checkpoint", behaviour=self.behaviour, step=self.step, path=path, model=model)

    def model(self):
        return model_of(self.run_id, self.step, self.settings["model_bytes"])

    def tell_metrics(self, step):
        self.tell(
            "metrics",
            behaviour=self.behaviour,
            step=step,
            time_elapsed=step / self.settings["rate"],
            mean_reward=step / self.max_steps,
            std_reward=0.1,
            statistics={},
        )

    def tell_alive(self):
        if time.monotonic() > self.told_alive + 1:
            self.told_alive = time.monotonic()
            self.tell("alive")

    def fail(self, type, message):  # noqa: A002
        self.tell("error", type=type, message=message)
        sys.exit(1)

    def tell(self, kind, **fields):
        line = json.dumps({"kind": kind, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self.facts, line) :]


def model_of(run_id, step, size=DEFAULTS["model_bytes"]):
    """Different for each step and run."""
    line = f"{run_id} {step} ".encode()
    return (line * (size // len(line) + 1))[:size]


def settings_beside(executable):
    text = read(os.path.join(os.path.dirname(executable), "stub.json"))
    return json.loads(text) if text else {}


def is_stopped(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["T"]


def number_in(text, name, otherwise):
    found = re.search(rf"\b{name}: (\d+)", text)
    return int(found[1]) if found else otherwise


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write(path, content):
    """Whole or not at all: a checkpoint may be written twice at the same step, while the node reads the first one."""
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.replace(path + ".part", path)


if __name__ == "__main__":
    main()
