"""The results folder: records, samples, leases and journals on disk, and the checks that make a case done."""
