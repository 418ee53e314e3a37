"""Parts of the script that measures what the suite's own work costs with the number of cases."""
