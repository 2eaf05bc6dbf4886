"""From a node's report to the game's screen: receiver -> record -> archive -> fanout.

Two programs deliver reports: `recorder` (facts, as Celery events) and `results` (outcomes, as Celery callbacks). Both
send the same Celery signal; `steps.py` says, per kind of report, what happens in which order.
"""
