"""The demo: the life of flight_delay under live traffic."""
