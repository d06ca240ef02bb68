"""The collector of the gateway's access log: from HAProxy's pipe to PostgreSQL."""
