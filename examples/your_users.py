"""Your own users, by the session table that you have.

With `AUTHENTICATE=examples.your_users:authenticate`, whoever sends `Authorization: Bearer <token>`
is the user of that session. What is returned is all that this service knows of a caller; None is a
401.
"""

from fastapi import Request
from sqlalchemy import text

from payments.core.principal import Principal, bearer

SESSION = text("""select user_id, email, is_staff from sessions
    where token_sha256 = sha256(convert_to(:token, 'UTF8')) and expires_at > now()""")


async def authenticate(request: Request) -> Principal | None:
    if (token := bearer(request)) is None:
        return None
    async with request.app.state.context.db.transaction() as tx:
        session = (await tx.execute(SESSION, {"token": token})).first()
    if session is None:
        return None
    role = "admin" if session.is_staff else "user"
    return Principal(user_id=session.user_id, email=session.email, role=role)
