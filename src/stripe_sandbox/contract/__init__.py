"""What Stripe's API accepts and answers, read from the installed SDK."""
