"""The doctor: whether desired state, ledger, registry and what is served agree."""
