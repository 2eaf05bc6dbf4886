"""The sample job and the game-like client that asks for it, to run and to read."""
