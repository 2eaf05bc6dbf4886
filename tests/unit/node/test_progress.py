"""When a training stands still: by the signs it gives, and by the processor time it uses."""

from node.progress import Busy, Progress

LOOK = 0.25


class Played:
    """A training whose clock is ours. `trainer` and `others` are the cores that they use."""

    def __init__(self, idle_s: float | None = 15.0, stall_s: float | None = 900.0) -> None:
        self.progress = Progress(idle_s, stall_s)
        self.now = self.trainer = self.others = 0.0

    def goes_on(self, seconds: float, trainer: float = 0.0, others: float = 0.0, waits: bool = False) -> str | None:
        """So much time without a sign; what was complained of, if anything."""
        end = self.now + seconds
        while self.now < end:
            self.now += LOOK
            self.trainer, self.others = self.trainer + trainer * LOOK, self.others + others * LOOK
            if waits:
                self.progress.waits()
            if complaint := self.progress.look(self.now, lambda: Busy(self.trainer, self.others)):
                return complaint
        return None

    def steps(self, count: int, every_s: float = 1.0) -> None:
        for _ in range(count):
            assert self.goes_on(every_s, trainer=0.5, others=0.5) is None
            self.progress.sign()


def test_nothing_is_said_of_a_training_that_makes_steps() -> None:
    Played().steps(200)


def test_one_that_idles_stands_still_after_three_intervals() -> None:
    its = Played()
    its.steps(20)
    assert its.goes_on(15) is None
    assert its.goes_on(5) == "The training stood still: it made no step for 16 s, where 5 s are usual."


def test_what_was_usual_of_late_is_not_too_long() -> None:
    its = Played()
    its.steps(20, every_s=10)
    assert its.goes_on(30) is None
    assert its.goes_on(5) == "The training stood still: it made no step for 32 s, where 10 s are usual."


def test_a_pause_of_long_ago_makes_nobody_wait() -> None:
    its = Played()
    its.steps(10, every_s=10)
    its.steps(100)
    assert its.goes_on(20)


def test_a_trainer_that_computes_may_take_its_time_but_not_for_ever() -> None:
    its = Played(stall_s=600)
    its.steps(20)
    assert its.goes_on(600, trainer=1.0) is None
    assert its.goes_on(1, trainer=1.0) == "The training stood still: it made no step for 600 s."


def test_a_trainer_that_shares_its_core_with_many_computes_all_the_same() -> None:
    its = Played()
    its.steps(20)
    assert its.goes_on(300, trainer=0.06) is None


def test_an_update_that_is_followed_by_nothing_is_noticed() -> None:
    its = Played()
    its.steps(20)
    assert its.goes_on(200, trainer=1.0) is None
    assert its.goes_on(20)


def test_a_trainer_that_looks_for_its_environment_all_the_time_does_not_compute() -> None:
    """ML-Agents asks its queue without a pause."""
    its = Played()
    its.steps(20)
    assert its.goes_on(20, trainer=1.0, others=0.01, waits=True)


def test_an_environment_that_works_is_waited_for() -> None:
    """It loads a scene, for example."""
    its = Played()
    its.steps(20)
    assert its.goes_on(300, trainer=1.0, others=0.5, waits=True) is None


def test_before_it_is_known_what_is_usual_an_idle_pause_may_be_three_times_as_long() -> None:
    its = Played(idle_s=15)
    its.steps(3)
    assert its.goes_on(45) is None
    assert its.goes_on(3) == "The training stood still: it made no step for 46 s after its start."


def test_time_in_which_the_node_did_not_run_does_not_count() -> None:
    its = Played()
    its.steps(20)
    for _ in range(10):
        its.now += 600
        assert its.goes_on(1) is None


def test_without_limits_nothing_is_too_long() -> None:
    its = Played(idle_s=None, stall_s=None)
    its.steps(20)
    assert its.goes_on(2_000) is None
