"""A user's requests are found by index, also those that are closed."""

from collections.abc import Sequence

from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

INDEX = "ix_subscription_requests_user_id"


def upgrade() -> None:
    op.create_index(INDEX, "subscription_requests", ["user_id"])


def downgrade() -> None:
    op.drop_index(INDEX, table_name="subscription_requests")
