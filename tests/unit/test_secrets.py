"""Whether a guess begins rightly cannot be told from how long its refusal takes: no secret is compared with `==`."""

import ast
from pathlib import Path

import pytest

from services.platform import ROOT

CODE = [path for folder in ("coordinator", "node", "wire") for path in sorted((ROOT / folder).rglob("*.py"))]
SECRET = {"token", "secret", "password", "digest", "ticket", "signature", "mac", "credential", "passphrase"}
"""Words of names that hold what nobody may guess, or what is made of it."""
PUBLIC = {
    ("coordinator/idempotency.py", side): "of what a request asks for, which its sender knows"
    for side in ("row.digest", "key.digest")
}
"""Comparisons that give nothing away, and why."""


def compared(source: str) -> list[str]:
    """The secrets that the code compares by `==` or `!=`, which end at the first byte that differs."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            if not _is_of_sql(node):
                found += [ast.unparse(side) for side in sides if _is_secret(side)]
    return found


def _is_secret(side: ast.expr) -> bool:
    name = side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else ""
    return bool(SECRET & {word.rstrip("s") for word in name.lower().split("_")})


def _is_of_sql(node: ast.Compare) -> bool:
    """A column of a model: PostgreSQL looks a digest up, of which an attacker chooses no byte."""
    left = node.left
    return isinstance(left, ast.Attribute) and isinstance(left.value, ast.Name) and left.value.id[:1].isupper()


def test_no_secret_is_compared_byte_by_byte() -> None:
    found = {(str(path.relative_to(ROOT)), its) for path in CODE for its in compared(path.read_text())}
    assert found - {*PUBLIC} == set()


@pytest.mark.parametrize("code", ["token == given", "given != its.secret", "a if self.api_token == b else c"])
def test_such_a_comparison_would_be_found(code: str) -> None:
    assert compared(code)


def test_tokens_are_looked_up_by_their_digest_alone() -> None:
    """The one place that knows tokens: what it asks PostgreSQL for is a hash."""
    source = Path(ROOT / "coordinator" / "accounts" / "tokens.py").read_text()
    asked = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
    assert "Token.digest == digest" in asked
