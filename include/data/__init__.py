"""Where rows land, are checked, kept and read again."""
