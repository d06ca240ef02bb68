"""The airworthy database: tables, ledger, locks and migrations."""
