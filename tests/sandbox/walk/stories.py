"""The whole walk, each story in a sandbox of its own."""

from sandbox.walk import billing, paying, selling
from sandbox.walk.steps import Step

STORIES: dict[str, list[Step]] = {
    "catalogue": selling.CATALOGUE,
    "customers": selling.CUSTOMERS,
    "setting up": selling.SETTING_UP,
    "portal": selling.PORTAL,
    "endpoints and events": selling.ENDPOINTS,
    "payments": paying.PAYMENTS,
    "errors": paying.ERRORS,
    "refunds": paying.REFUNDS,
    "disputes": paying.DISPUTES,
    "payouts": paying.PAYOUTS,
    "reports": paying.REPORTS,
    "ends of invoices": billing.ENDS,
}
