"""From a key to a service that runs: setting an account up, and finding out what is wrong."""
