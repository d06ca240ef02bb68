"""The demo: the life of the model flight_delay under live traffic."""
