"""Reconcile: what is stored here is compared with what Stripe lists, row by row.

A row is drift only if nothing else explains it: it differs from the listed object, it still differs
from the object fetched some seconds later, nobody has written it meanwhile, and no event about it
waits in the inbox. Healing writes through the one writer, or not at all.
"""
