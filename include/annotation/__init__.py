"""Labels by people: rows that are worth one, their files, corrections of answers, and suspected errors."""
