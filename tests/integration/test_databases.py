"""The databases that tests are lent: nobody finds what another has left."""

from services.stack import Stack
from tests.conftest import Template
from tests.corners import connect
from tests.databases import Databases

ROWS = "SELECT coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '') FROM {} t"
AN_ENTRY = "INSERT INTO audit (action, object, actor_type, actor, origin) VALUES ('a', 'b', 'user', 'c', 'd')"


def everything(stack: Stack, name: str) -> dict[str, str]:
    """All rows of all tables, and how far the numbers have been given."""
    with connect(stack, "postgres", name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = {}
        for (table,) in cursor.fetchall():
            cursor.execute(ROWS.format(table))
            found[table] = cursor.fetchone()[0]
        cursor.execute("SELECT string_agg(sequencename || ' ' || coalesce(last_value, 0), ', ') FROM pg_sequences")
        return found | {"sequences": cursor.fetchone()[0]}


def test_a_database_that_is_lent_again_is_as_the_first_one_was(
    stack: Stack, template: Template, databases: Databases
) -> None:
    assert "owner" in everything(stack, template.name)["users"]
    with databases.lent() as first, connect(stack, "train_jobs", first) as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO users (id, name) VALUES (gen_random_uuid(), 'a guest')")
        cursor.execute("UPDATE nodes SET slots = 7")
        cursor.execute(
            "INSERT INTO audit (action, object, actor_type, actor, origin) VALUES ('it', 'a', 'user', 'b', 'c')"
        )
        cursor.execute("DELETE FROM tokens")
        assert everything(stack, first) != everything(stack, template.name)
    with databases.lent() as second:
        assert second == first
        assert everything(stack, second) == everything(stack, template.name)


def test_a_database_whose_tables_were_changed_is_not_lent_again(stack: Stack, databases: Databases) -> None:
    with databases.lent() as first, connect(stack, "train_jobs", first) as connection:
        connection.cursor().execute("ALTER TABLE nodes ADD COLUMN colour text")
    with databases.lent() as second:
        assert second != first
