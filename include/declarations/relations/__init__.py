"""What follows from several declarations together: consistency, the selected features, data without dates."""
