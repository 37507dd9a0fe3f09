"""Evidence: events, the record of a run, packets, the diagnosis. No I/O but the files of a run."""
