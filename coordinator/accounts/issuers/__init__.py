"""Tokens that somebody else has made: who has signed in there, as far as this installation trusts that issuer."""
