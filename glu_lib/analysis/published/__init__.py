"""Tables of the published study, with their source and attribution in README.md beside them."""
