"""What happens across resources: paying, collecting, checking out; the test cards and the money."""
