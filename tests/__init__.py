"""Tests: `unit` needs no service, `contract` and `integration` start real ones, `acceptance` the whole platform."""
