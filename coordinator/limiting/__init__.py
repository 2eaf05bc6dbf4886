"""How much users and teams may have and ask for, and what they have."""
