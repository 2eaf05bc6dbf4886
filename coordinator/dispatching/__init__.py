"""From the outbox to the nodes: which training goes where, when, and why one waits."""
