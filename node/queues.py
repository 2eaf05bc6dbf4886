"""The node's queues as kombu knows them: those that trainings come from, and the one for outcomes."""

from kombu import Exchange, Queue

from wire import names


def train_queue(name: str = names.TRAIN_QUEUE) -> Queue:
    """A queue of trainings; which there are beside the usual one, the coordinator says."""
    exchange = Exchange(names.TRAIN_EXCHANGE, type="topic", durable=True)
    return Queue(name, exchange, name, queue_arguments=names.train_queue_arguments(name))


def outcome_queue() -> Queue:
    """Where outcomes go, and news of files."""
    exchange = Exchange(names.OUTCOME_EXCHANGE, type="topic", durable=True)
    return Queue(names.OUTCOME_QUEUE, exchange, names.OUTCOME_QUEUE, queue_arguments=names.OUTCOME_QUEUE_ARGUMENTS)
