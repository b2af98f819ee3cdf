"""The whole walk, each story in a sandbox of its own."""

from sandbox.walk import billing, paying, selling
from sandbox.walk.steps import Step

STORIES: dict[str, list[Step]] = {
    "catalogue": selling.CATALOGUE,
    "discounts": selling.DISCOUNTS,
    "customers": selling.CUSTOMERS,
    "checkout": selling.CHECKOUT,
    "setting up": selling.SETTING_UP,
    "portal": selling.PORTAL,
    "endpoints and events": selling.ENDPOINTS,
    "payments": paying.PAYMENTS,
    "errors": paying.ERRORS,
    "refunds": paying.REFUNDS,
    "disputes": paying.DISPUTES,
    "payouts": paying.PAYOUTS,
    "reports": paying.REPORTS,
    "a subscription": billing.SUBSCRIPTION,
    "beginnings of subscriptions": billing.BEGINNINGS,
    "invoices": billing.INVOICES,
    "ends of invoices": billing.ENDS,
    "quotes": billing.QUOTES,
}
