"""The central node: takes training jobs, remembers them, relays what the training nodes report."""
