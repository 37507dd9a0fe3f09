"""Evidence: events, the record of a run, packets, the diagnosis. The only I/O is on the files of a run."""
