"""What stands behind `make`: set-up, the development run, cleaning."""
