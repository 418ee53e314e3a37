"""The results folder: records, samples, leases and unfinished answers on disk, and what makes a record count."""
