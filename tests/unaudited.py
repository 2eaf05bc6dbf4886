"""A database that notices changes of which the audit says nothing: it looks at the end of every transaction."""

from flask import Flask

from coordinator.extensions import db
from tests.integration.database import change, rows

NOT_AUDITED = {
    "audit", "alembic_version",
    "events", "metrics", "log_pieces", "episodes",  # what is told of trainings
    "outbox", "dropped_objects", "idempotency_keys", "pulses",  # what is still to be done
    "rejected_messages", "rejected_counts", "tickets", "turns",
}  # fmt: skip
KINDS = {
    "jobs": "job", "attempts": "job|attempt", "artifacts": "file|job", "builds": "build", "build_checks": "build",
    "users": "user", "teams": "team|user", "members": "member|team|user", "tokens": "token", "nodes": "node",
    "limits": "limit",
}  # fmt: skip
"""Which kinds of entries tell of the rows of a table. A new table is to be put here, or among those above."""
UNNOTED = {
    "jobs": {"last_seq", "updated_at", "waiting_for", "replay_from", "log_tail", "steps_trained", "mean_reward",
             "comparison"},
    "attempts": {"lease_until", "facts_recorded", "logs_recorded", "bundle", "outcome", "outcome_at", "resend",
                 "resends", "resend_at"},
    "users": {"last_seen_at"}, "nodes": {"slots", "has", "last_seen_at"}, "tokens": {"last_used_at"},
    "builds": {"upload_id", "parts"},
}  # fmt: skip
"""Columns that come and go without a change of state, permission or object."""
WATCH = """
CREATE TABLE unaudited (what text);
CREATE FUNCTION look_for_its_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kinds text[] := string_to_array(TG_ARGV[0], '|');
  unnoted text[] := string_to_array(TG_ARGV[1], '|');
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - unnoted = to_jsonb(NEW) - unnoted THEN
    RETURN NULL;
  END IF;
  IF NOT EXISTS (SELECT FROM audit WHERE xmin = pg_current_xact_id()::xid AND split_part(action, '.', 1) = ANY(kinds))
  THEN
    INSERT INTO unaudited
    VALUES (TG_OP || ' ' || TG_TABLE_NAME || ': ' || coalesce(to_jsonb(NEW), to_jsonb(OLD))::text);
  END IF;
  RETURN NULL;
END $$
"""


def watch(app: Flask) -> None:
    """From now on `unaudited` finds what is changed without an entry."""
    change(app, WATCH)
    for table in db.metadata.tables:
        if table not in NOT_AUDITED:
            arguments = f"'{KINDS[table]}', '{'|'.join(sorted(UNNOTED.get(table, ())))}'"
            change(
                app,
                f"CREATE CONSTRAINT TRIGGER look_for_its_entry AFTER INSERT OR UPDATE OR DELETE ON {table} "
                f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look_for_its_entry({arguments})",
            )


def unaudited(app: Flask) -> list[str]:
    """Changes without an entry since it was last asked."""
    found = rows(app, "SELECT what FROM unaudited")
    change(app, "DELETE FROM unaudited")
    return [str(it) for it in found]
