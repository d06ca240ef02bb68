"""Who may fly: the ledger, the desired state and the judgement of a rollout."""
