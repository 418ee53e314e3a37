"""The command line: commands on study and records."""
