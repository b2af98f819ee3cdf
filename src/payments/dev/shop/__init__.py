"""The demo shop: one page that books a dinner and pays for it through the public API."""
