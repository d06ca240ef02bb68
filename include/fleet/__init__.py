"""What the pages of the fleet show: all models as one table, one model in panels, all datasets and views."""
