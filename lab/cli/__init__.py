"""The command line: arguments in, tables out."""
