"""What the programs say to each other. Standard library only; imports nothing of ours."""
