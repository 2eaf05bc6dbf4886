"""The bridge of a training node: builds connect to it, are told their job, and say what happens in their world.

A process of its own beside the node's worker (`python -m node.bridge`). No training depends on it.
"""
