"""The tables as queries speak of them. bot/adapters/migrations.py makes them; a test holds the two together.

`team_id` is the workspace a row belongs to and `source` where its content came from: how a question was asked, the source
of a piece of evidence, what wrote a report (`rules` or a model), where a person clicked. `body` is the noun as JSON.
Times are UTC unix seconds.
"""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, Table, Text

METADATA = MetaData()

SCHEMA_VERSION = Table("schema_version", METADATA, Column("version", Integer, primary_key=True))

INVESTIGATIONS = Table(
    "investigations",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("channel_id", Text),
    Column("thread_ts", Text),
    Column("asked_at_s", Float, nullable=False),
    Column("body", Text, nullable=False),
    Index("investigations_by_thread", "team_id", "channel_id", "thread_ts", "asked_at_s"),
    Index("investigations_by_state", "team_id", "state", "asked_at_s"),
)

EVIDENCE = Table(
    "evidence",
    METADATA,
    Column("team_id", Text, primary_key=True),
    Column("thread_key", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("body", Text, nullable=False),
)

REPORTS = Table(
    "reports",
    METADATA,
    Column("investigation", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("body", Text, nullable=False),
)

SUGGESTIONS = Table(
    "suggestions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("investigation", Text, nullable=False),
    Column("body", Text, nullable=False),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("suggestion_id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("decided_at_s", Float, nullable=False),
    Column("body", Text, nullable=False),
)

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("team_id", Text, primary_key=True),
    Column("investigation", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("helpful", Boolean, nullable=False),
    Column("at_s", Float, nullable=False),
)
