"""What happened: events, the record of a run, and what is told from them. Pure over values and files."""
