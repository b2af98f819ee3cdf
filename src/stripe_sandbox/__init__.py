"""Offline Stripe: the installed SDK is its specification."""
