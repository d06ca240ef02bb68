"""The stack: all processes of the project on one machine, or the setup of the composed services."""
