"""Registration: certificate, model version and model card of a candidate."""
